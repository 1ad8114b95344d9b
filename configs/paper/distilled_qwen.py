"""The paper's third pair: R1-Distill-Qwen 7B before and after GRPO, on GSM8K. It is the flagship under another name.

Paper row:  arXiv 2509.21044, Table 1, Distilled-Qwen, GSM8K, alpha 0.1 (GRPO): activation intensity 6.71e-4 to 7.72e-4,
            information complexity 0.160 to 0.264, distribution kurtosis 766 to 560.
Command:    python run.py --config=configs/paper/distilled_qwen.py --workdir=DIR --config.question_revision=COMMIT
Hardware:   as configs/qwen_grpo.py, which has every setting.
Time:       as configs/qwen_grpo.py.
"""

import ml_collections

from configs import qwen_grpo


def get_config() -> ml_collections.ConfigDict:
    return qwen_grpo.get_config()
