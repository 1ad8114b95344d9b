"""Does inducing the paper's pattern change what a model can do?

What:       more SFT, and GRPO, with a penalty that makes activations differ more between examples (weight above 0) or
            less (below 0), trained without problems of the level `held_out`; effect on accuracy, there and elsewhere,
            and on the metrics.
Paper row:  none; arXiv 2509.21044 observes, and does not intervene.
Command:    python -m jaxeap.rl --config=configs/lab/intervention.py --workdir=workdirs/intervention
Hardware:   any; two CPU cores and 3 GB of memory are enough.
Time:       about 45 minutes there for three seeds (10 runs each); --config.seeds=1 in a third of it.
Expect:     if diversity is a cause of what RL improves, accuracy follows the sign of the weight.
"""

import ml_collections

from jaxeap.rl.experiments.settings import lab_config

METHODS = ("sft_more", "grpo")


def get_config() -> ml_collections.ConfigDict:
    config = lab_config("intervention", METHODS, seeds=3)
    config.methods = METHODS
    config.weights = (-1.0, -0.3, 0.0, 0.3, 1.0)
    config.held_out = "carry_chain"
    return config
