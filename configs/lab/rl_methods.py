"""One base, every training method: the paper's central claim put to a controlled test.

What:       for each seed a base by supervised fine-tuning, and from it models by more of the same (the null), rejection
            sampling, GRPO, PPO, DPO and online DPO; each contrasted with its base on the same held-out questions.
Paper row:  arXiv 2509.21044, Table 1 (PPO and GRPO raise intensity, complexity and diversity and lower kurtosis; DPO
            does not), in small and with everything but the method held equal.
Command:    python -m jaxeap.rl --config=configs/lab/rl_methods.py --workdir=workdirs/rl_methods
Hardware:   any; two CPU cores and 3 GB of memory are enough.
Time:       about an hour there for five seeds; --config.seeds=1 in about a fifth of it. A killed run goes on.
Expect:     bases near 60% of the test split, GRPO, PPO and DPO at least 20 points better, more SFT within 8; what the
            metrics do is the question.
"""

import ml_collections

from jaxeap.rl.experiments.settings import lab_config

METHODS = ("sft_more", "rejection", "grpo", "ppo", "dpo", "online_dpo")


def get_config() -> ml_collections.ConfigDict:
    config = lab_config("rl_methods", METHODS, seeds=5)
    config.methods = METHODS
    return config
