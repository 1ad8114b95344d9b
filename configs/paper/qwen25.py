"""The paper's fourth pair: Qwen2.5 7B before and after iterative DPO, on College Math. The method that differs.

Paper row:  arXiv 2509.21044, Table 1, Qwen2.5, College Math, alpha 0.3 (DPO): activation intensity 4.76e-4 to 4.69e-4,
            information complexity 0.123 to 0.0995, distribution kurtosis 751 to 651.
Pair:       base   RLHFlow/Qwen2.5-7B-SFT
            tuned  RLHFlow/Qwen2.5-7B-DPO   (DPO)
            The names are those of the Online-DPO-R1 project, whose models start from Qwen2.5-Math-7B; that they are the
            paper's "Qwen2.5-7B-SFT / -DPO" is supposed from the names.
Command:    python run.py --config=configs/paper/qwen25.py --workdir=DIR --config.question_revision=COMMIT
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
    config.base = "hub:RLHFlow/Qwen2.5-7B-SFT"
    config.tuned = "hub:RLHFlow/Qwen2.5-7B-DPO"
    config.questions = "hub:college_math"
    config.template = "qwen25-math-cot"
    config.sampling.max_new_tokens = 8192
    config.sampling.batch_size = 64
    config.sampling.cache_tokens = 262_144  # 15 GB.
    config.selection.alpha = 0.3
    config.plan.answer_tokens = 700
    return config
