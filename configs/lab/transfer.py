"""Does what RL on arithmetic changes show on a task that is none?

What:       a base that learned arithmetic and the reversal of strings; more SFT, GRPO and PPO on arithmetic alone; each
            model contrasted with the base on both tasks, on own answers and on the right ones.
Paper row:  none; arXiv 2509.21044 trains and measures on mathematics only.
Command:    python -m jaxeap.rl --config=configs/lab/transfer.py --workdir=workdirs/transfer
Hardware:   any; two CPU cores and 3 GB of memory are enough.
Time:       about half an hour there for three seeds; --config.seeds=1 in a third of it.
Expect:     if RL changes something general, the same signs on both tasks.
"""

import ml_collections

from jaxeap.rl.experiments.settings import lab_config

METHODS = ("sft_more", "grpo", "ppo")


def get_config() -> ml_collections.ConfigDict:
    config = lab_config("transfer", METHODS, seeds=3)
    config.methods = METHODS
    config.other = "reversal"  # Or "digit_reversal", or any other lab task.
    config.steps.sft = 1200  # Two tasks share them.
    return config
