"""A condition of an experiment, over all its seeds: accuracies, questions compared, changes of the metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from jaxeap.rl.evaluate import Accuracy
from jaxeap.rl.experiments.comparison import Compared
from jaxeap.rl.experiments.effects import Effect, effects
from jaxeap.rl.experiments.walk import Outcome


@dataclasses.dataclass(frozen=True)
class Member:
    """One seed's part of a condition: the cells before and after training, and the comparison; by name."""

    seed: str
    base: str
    tuned: str
    comparison: str


@dataclasses.dataclass(frozen=True)
class Condition:
    """What came of a condition.

    Attributes:
      name, title: of the condition.
      base, tuned: seed -> greedy accuracy on the test split, before and after.
      base_sampled, tuned_sampled: the same at temperature 1.
      tuned_levels: seed -> level -> greedy accuracy after.
      base_levels: the same before.
      selected: seed -> questions compared.
      missing: seed -> why its contrast has no value.
      effects: metric -> its change.
    """

    name: str
    title: str
    base: dict[str, float]
    tuned: dict[str, float]
    base_sampled: dict[str, float]
    tuned_sampled: dict[str, float]
    base_levels: dict[str, dict[str, float]]
    tuned_levels: dict[str, dict[str, float]]
    selected: dict[str, int]
    missing: dict[str, str]
    effects: dict[str, Effect]

    def gains(self) -> dict[str, float]:
        """Seed -> greedy accuracy after minus before."""
        return {seed: self.tuned[seed] - self.base[seed] for seed in self.tuned}

    def mean_gain(self) -> float:
        """Over seeds."""
        return float(np.mean(list(self.gains().values())))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and numbers."""
        return dataclasses.asdict(self) | {"gains": self.gains()}


def condition(
    name: str,
    title: str,
    members: list[Member],
    outcome: Outcome,
    config: ml_collections.ConfigDict,
    control: list[Member] | None = None,
) -> Condition:
    """Puts a condition together from what its members came to; `control` are those of the condition held against."""
    compared = {member.seed: outcome.compared[member.comparison] for member in members}
    held = None if control is None else {each.seed: outcome.compared[each.comparison].changes for each in control}
    before = {member.seed: outcome.accuracies[member.base] for member in members}
    after = {member.seed: outcome.accuracies[member.tuned] for member in members}
    return Condition(
        name,
        title,
        base=_overall(before, "greedy"),
        tuned=_overall(after, "greedy"),
        base_sampled=_overall(before, "sampled"),
        tuned_sampled=_overall(after, "sampled"),
        base_levels={seed: found["greedy"].by_level for seed, found in before.items()},
        tuned_levels={seed: found["greedy"].by_level for seed, found in after.items()},
        selected={seed: found.selected for seed, found in compared.items()},
        missing={seed: found.missing for seed, found in compared.items() if found.missing},
        effects=effects(
            {seed: found.changes for seed, found in compared.items()},
            held,
            confidence=config.bootstrap.confidence,
            seed=config.bootstrap.seed,
        ),
    )


def _overall(found: Mapping[str, Mapping[str, Accuracy]], kind: str) -> dict[str, float]:
    return {seed: each[kind].overall for seed, each in found.items()}


def comparison_record(found: Compared) -> dict[str, Any]:
    """A comparison as plain dictionaries and numbers, without its resamples."""
    changes = found.changes
    metrics = {} if changes is None else {m: {"base": changes.base[m], "tuned": changes.tuned[m]} for m in changes.base}
    return {
        "asked": found.asked,
        "selected": found.selected,
        "accuracy": found.accuracy,
        "missing": found.missing,
        "metrics": metrics,
    }
