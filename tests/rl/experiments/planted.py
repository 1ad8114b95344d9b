"""Outcomes of experiments without training: changes that are put there, with seeds and questions that vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import ml_collections
import numpy as np

from jaxeap.rl.evaluate import Accuracy
from jaxeap.rl.experiments.comparison import Changes, Compared
from jaxeap.rl.experiments.plan import Plan
from jaxeap.rl.experiments.walk import Outcome

TITLES = {
    "intensity": "Activation intensity",
    "complexity": "Information complexity",
    "kurtosis": "Distribution kurtosis",
    "diversity": "Inter-sample diversity",
    "node_entropy": "Node output entropy",
    "loss": "Loss on the scored text",
}


def planted_changes(relative: Mapping[str, float], seed: int, noise: float = 0.02, resamples: int = 200) -> Changes:
    """Metrics of a base that are all 2, changed by the given shares and noise."""
    rng = np.random.default_rng(seed)
    found = Changes({}, {}, {}, {}, {})
    for name, change in relative.items():
        centre = change + noise * rng.normal()
        found.title[name], found.base[name], found.tuned[name] = TITLES[name], 2.0, 2.0 * (1 + centre)
        found.relative[name] = centre + noise * rng.normal(size=resamples)
        found.difference[name] = 2.0 * found.relative[name]
    return found


def accuracy(carry: int, carry_chain: int = 1) -> Accuracy:
    """10 questions of all levels, 2 of 3 right without a carry, and so many of 4 and of 3 right with one."""
    right = {"no_carry": 2, "carry": carry, "carry_chain": carry_chain}
    return Accuracy(right, {"no_carry": 3, "carry": 4, "carry_chain": 3})


def planted_outcome(
    plan: Plan,
    changed: Mapping[str, Mapping[str, float] | None],
    tuned: Callable[[str], Accuracy] = lambda name: accuracy(3),
) -> Outcome:
    """What a plan comes to when every comparison's change is that of the last part of its name; None for missing.

    Comparisons whose name is not there change nothing. Bases have 5 right of 10, other cells what `tuned` says.
    """
    nothing = dict.fromkeys(TITLES, 0.0)
    compared = {}
    for number, item in enumerate(plan.comparisons):
        change = changed.get(item.name.split("/")[-1], nothing)
        if change is None:
            compared[item.name] = Compared(50, 3, {"base": 0.5, "tuned": 0.6}, None, "only 3 of 50 questions are left")
        else:
            found = planted_changes({**nothing, **change}, number)
            compared[item.name] = Compared(50, 40, {"base": 0.5, "tuned": 0.6}, found)
    accuracies = {}
    for cell in plan.cells:
        each = accuracy(2) if cell.method == "sft" else tuned(cell.name)
        accuracies[cell.name] = {"greedy": each, "sampled": each}
    names = ("greedy_accuracy", "sampled_accuracy", "entropy", "divergence", "moved_share", "relative_distance")
    probed = {
        probe.name: {name: 0.1 * (place + 1) + 0.001 * number for place, name in enumerate(names)}
        for number, probe in enumerate(plan.probes)
    }
    return Outcome(accuracies, compared, probed)


def small(config: ml_collections.ConfigDict, seeds: int = 3) -> ml_collections.ConfigDict:
    """The config with few seeds and resamples."""
    config.seeds = seeds
    config.bootstrap.resamples = 200
    return config
