"""What about sampling matters: GRPO with one setting varied at a time.

What:       temperature, answers to each prompt, updates from one round of rollouts (on- against off-policy), number of
            different prompts, weight of the divergence; each run contrasted with its base.
Paper row:  arXiv 2509.21044 leaves open which part of online sampling causes the change (its third check, Appendix B).
Command:    python -m jaxeap.rl --config=configs/lab/sampling.py --workdir=workdirs/sampling
Hardware:   any; two CPU cores and 3 GB of memory are enough.
Time:       about an hour there for three seeds (16 runs of GRPO each); --config.seeds=1 in a third of it.
Expect:     if the paper's reading is right, diversity and intensity rise with temperature, group size and number of
            prompts, and less off-policy.
"""

import ml_collections

from jaxeap.rl.experiments.settings import lab_config


def get_config() -> ml_collections.ConfigDict:
    config = lab_config("sampling", ("grpo",), seeds=3)
    # Factor -> values; the lab's own value (temperature 1, 8 answers, 1 update, weight 0.01, all prompts) always runs.
    # On the command line: --config.factors.temperature="(0.3, 1.5)"
    config.factors = ml_collections.ConfigDict()
    config.factors.temperature = (0.3, 0.6, 1.5)
    config.factors.group_size = (2, 4, 16)
    config.factors.batches_per_rollout = (4, 16)
    config.factors.kl_weight = (0.0, 0.1, 1.0)
    config.factors.num_prompts = (32, 128, 512, 2048)
    return config
