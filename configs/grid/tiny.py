"""A grid in small: the shipped pairs after GRPO, PPO, DPO and more SFT (the control), at two truncation lengths.

Paper row:  none; the form of Table 1 of arXiv 2509.21044, on tiny models that learned two-digit arithmetic.
            Questions and settings are those of configs/tiny_grpo.py, whose docstring tells what it can show.
Command:    python run.py --config=configs/grid/tiny.py --workdir=workdirs/tiny_grid
Hardware:   any; two CPU cores and 2 GB of memory are enough.
Time:       about a minute there.
"""

import ml_collections

from configs import tiny_grpo
from jaxeap.pipeline.grid import grid_config

PAIRS = {"grpo": "grpo", "ppo": "ppo", "dpo": "dpo", "sft": "sft_more"}


def get_config() -> ml_collections.ConfigDict:
    shared = tiny_grpo.get_config()
    shared.controls.null_tuned = None  # The control has cells of its own.
    return grid_config(
        shared,
        pairs={name: {"tuned": str(tiny_grpo.PAIR / folder)} for name, folder in PAIRS.items()},
        datasets={"arithmetic": {"questions": "arithmetic:test"}},
        alphas=(0.5, 1.0),
    )
