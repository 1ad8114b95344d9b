"""A small model with verifiable rewards: Qwen2.5-Math 1.5B before and after Dr. GRPO, on MATH-500.

What:       the effect at a size that fits a 24 GB GPU, where several seeds or checkpoints can be afforded.
Paper row:  none; the tuned model is that of arXiv 2503.20783 (Oat-Zero). It has learned from the base itself, without
            supervised fine-tuning between.
Command:    python run.py --config=configs/rlvr/qwen25_math_15b.py --workdir=DIR --config.question_revision=COMMIT
            Add --dry_run for the plan alone.
Hardware:   one GPU with 24 GB (--config.plan.device_gb=24 tells the plan of one).
Time:       not measured at this size; --dry_run prints the plan's estimate.
Needs:      pip install -r requirements/math.txt -r requirements/data.txt
"""

import ml_collections

from configs import qwen_grpo


def get_config() -> ml_collections.ConfigDict:
    config = qwen_grpo.get_config()
    config.base = "hub:Qwen/Qwen2.5-Math-1.5B"
    config.tuned = "hub:sail/Qwen2.5-Math-1.5B-Oat-Zero"
    config.questions = "hub:math500"
    config.template = "qwen25-math-cot"
    config.sampling.max_new_tokens = 3072  # What fits into the model's 4096 positions beside any prompt.
    config.sampling.batch_size = 64
    config.sampling.cache_tokens = 65_536  # 1.9 GB.
    config.attribution.batch_size = 4
    config.plan.answer_tokens = 700
    return config
