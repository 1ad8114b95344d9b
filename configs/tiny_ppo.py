"""What PPO changed in a tiny model that learned two-digit arithmetic.

Paper row:  none; the experiment of arXiv 2509.21044 in small, with PPO.
            Base, questions and settings are those of tiny_grpo.py, whose docstring tells what it can show.
Command:    python run.py --config=configs/tiny_ppo.py --workdir=workdirs/tiny_ppo
Hardware:   any; two CPU cores and 2 GB of memory are enough.
Time:       under a minute there, much of it compilation.
"""

import ml_collections

from configs import tiny_grpo


def get_config() -> ml_collections.ConfigDict:
    config = tiny_grpo.get_config()
    config.tuned = str(tiny_grpo.PAIR / "ppo")
    return config
