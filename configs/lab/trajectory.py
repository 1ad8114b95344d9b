"""The metrics along training: checkpoints of SFT and of GRPO.

What:       the supervised making of a base and GRPO from it, with twelve checkpoints each; at every one the metrics
            beside the base's, accuracy, entropy of the policy, divergence from the base, and how many weights moved.
Paper row:  none; arXiv 2509.21044 sees the end of training only.
Command:    python -m jaxeap.rl --config=configs/lab/trajectory.py --workdir=workdirs/trajectory
Hardware:   any; two CPU cores and 3 GB of memory are enough.
Time:       about a quarter of an hour there for three seeds, most of it contrasts; --config.seeds=1 in a third of it.
Expect:     accuracy up and entropy down along GRPO; when the metrics change, and along with what, is the question.
"""

import ml_collections

from jaxeap.rl.experiments.settings import lab_config


def get_config() -> ml_collections.ConfigDict:
    config = lab_config("trajectory", ("grpo",), seeds=3)
    config.checkpoints = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)  # Shares of each run.
    return config
