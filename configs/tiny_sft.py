"""What more of the same fine-tuning changed in a tiny model: the null beside tiny_grpo, tiny_ppo and tiny_dpo.

Paper row:  none; a control, in which no RL took place.
            Base, questions and settings are those of tiny_grpo.py, whose docstring tells what it can show.
Command:    python run.py --config=configs/tiny_sft.py --workdir=workdirs/tiny_sft
Hardware:   any; two CPU cores and 2 GB of memory are enough.
Time:       half a minute there, much of it compilation.
"""

import ml_collections

from configs import tiny_grpo


def get_config() -> ml_collections.ConfigDict:
    config = tiny_grpo.get_config()
    config.tuned = config.controls.null_tuned
    config.controls.null_tuned = None
    return config
