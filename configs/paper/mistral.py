"""The paper's second pair: Mistral 7B of Math-Shepherd before and after PPO, on MATH.

Paper row:  arXiv 2509.21044, Table 1, Mistral, MATH, alpha 0.3 (PPO): activation intensity 4.49e-4 to 4.92e-4,
            information complexity 0.0413 to 0.286, distribution kurtosis 335 to 265.
Pair:       base   peiyi9979/mistral-7b-sft
            tuned  peiyi9979/math-shepherd-mistral-7b-rl   (PPO)
Command:    python run.py --config=configs/paper/mistral.py --workdir=DIR --config.question_revision=COMMIT
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
    config.base = "hub:peiyi9979/mistral-7b-sft"
    config.tuned = "hub:peiyi9979/math-shepherd-mistral-7b-rl"
    config.questions = "hub:math"
    config.template = "mistral"
    config.sampling.max_new_tokens = 4096
    config.sampling.batch_size = 64
    config.sampling.cache_tokens = 131_072  # 17 GB.
    config.selection.alpha = 0.3
    config.plan.answer_tokens = 300
    return config
