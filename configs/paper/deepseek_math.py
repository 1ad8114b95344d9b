"""The paper's first pair: DeepSeek-Math 7B before and after GRPO, on MATH.

Paper row:  arXiv 2509.21044, Table 1, DeepSeek-Math, MATH, alpha 0.1 (GRPO): activation intensity 1.10e-3 to 1.31e-3,
            information complexity 0.172 to 0.247, distribution kurtosis 357 to 223.
Pair:       base   deepseek-ai/deepseek-math-7b-instruct
            tuned  deepseek-ai/deepseek-math-7b-rl   (GRPO)
Command:    python run.py --config=configs/paper/deepseek_math.py --workdir=DIR --config.question_revision=COMMIT
            Add --dry_run for the plan alone. Folders may stand in the place of the names (--config.base=FOLDER
            --config.tuned=FOLDER), and a file in that of the questions (--config.questions=FILE.jsonl).
Hardware:   one 80 GB GPU, or a TPU v5e-8 or v4-8 with --config.mesh.fsdp and .tensor (docs/reproduce.md).
Time:       not measured at this size; docs/reproduce.md has the plan's figures, which rest on supposed rates.
Needs:      pip install -r requirements/math.txt -r requirements/data.txt

All other settings are those of configs/qwen_grpo.py. What can and cannot be compared with the published figures stands
in docs/reproduce.md.
"""

import ml_collections

from configs import qwen_grpo


def get_config() -> ml_collections.ConfigDict:
    config = qwen_grpo.get_config()
    config.base = "hub:deepseek-ai/deepseek-math-7b-instruct"
    config.tuned = "hub:deepseek-ai/deepseek-math-7b-rl"
    config.questions = "hub:math"
    config.template = "deepseek-math"
    config.sampling.max_new_tokens = 4096
    config.sampling.batch_size = 32
    config.sampling.cache_tokens = 65_536  # 32 GB: this model has as many key and value heads as queries'.
    config.selection.alpha = 0.1
    config.plan.answer_tokens = 400
    return config
