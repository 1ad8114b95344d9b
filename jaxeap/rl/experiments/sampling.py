"""What about sampling matters: GRPO with one factor varied at a time around the lab's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from matplotlib.figure import Figure

from jaxeap.metrics.bootstrap import Interval
from jaxeap.rl.experiments.claims import PAPER_DIRECTIONS, direction
from jaxeap.rl.experiments.conditions import Condition, Member, condition
from jaxeap.rl.experiments.data_choice import DataChoice
from jaxeap.rl.experiments.effect_plots import LinePanel, Scale, line_panels
from jaxeap.rl.experiments.effect_table import MAIN, effect_cells, markdown_table
from jaxeap.rl.experiments.effects import Effect, effects
from jaxeap.rl.experiments.pages import (
    accuracy_note,
    effect_words,
    how_made,
    interval_words,
    intervals_note,
    limits,
    mean_notes,
    missing_notes,
    points_words,
)
from jaxeap.rl.experiments.plan import Cell, Comparison, ModelRef, Plan, base_cell
from jaxeap.rl.experiments.seed_bootstrap import student_interval
from jaxeap.rl.experiments.settings import seeds_of, settings_of
from jaxeap.rl.experiments.walk import Outcome

DEFAULT = "default"
LABELS = {
    "temperature": "temperature of the rollouts",
    "group_size": "answers to each prompt",
    "batches_per_rollout": "updates from one round of rollouts (1: on-policy)",
    "kl_weight": "weight of the divergence from the base",
    "num_prompts": "different prompts",
}
SCALES: Mapping[str, Scale] = {"temperature": "linear", "kl_weight": "symlog"}
"""Of the factors whose values do not go by factors, or hold 0; of all others the axis is logarithmic."""
POINTS = tuple[tuple[float, float, Interval | None], ...]


def plan(config: ml_collections.ConfigDict) -> Plan:
    """For each seed a base, GRPO by the lab's settings, and GRPO with each value of each factor.

    Raises:
      ValueError: a factor is unknown, or its values cannot be run.
    """
    if unknown := set(config.factors) - set(LABELS):
        raise ValueError(f"config.factors has {unknown.pop()!r}; there are {', '.join(LABELS)}")
    cells: list[Cell] = []
    comparisons: list[Comparison] = []
    for seed in seeds_of(config):
        sft = settings_of(config, "sft")
        data = DataChoice(seed, sft.steps * sft.batch_size)
        base = base_cell(seed, sft, data)
        cells.append(base)
        for name, factor, value in _variants(config):
            settings, chosen = _setting(config, factor, value), data
            if factor == "num_prompts":
                chosen = DataChoice(seed, data.num_demonstrations, num_prompts=int(value))
            cell = Cell(f"seed{seed}/{name}", "grpo", base.name, seed, settings, chosen)
            cells.append(cell)
            comparisons.append(
                Comparison(cell.name, ModelRef(base.name), ModelRef(cell.name), config.contrast.questions)
            )
    return Plan(cells, comparisons)


def conditions(config: ml_collections.ConfigDict, outcome: Outcome) -> list[Condition]:
    """The default, and each variant held against it."""
    default = _members(config, DEFAULT)
    found = [condition(DEFAULT, "the lab's settings", default, outcome, config)]
    for name, factor, value in _variants(config):
        if factor:
            title = f"{factor} {value:g}"
            found.append(condition(name, title, _members(config, name), outcome, config, control=default))
    return found


def figures(
    config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome
) -> Mapping[str, tuple[str, Figure]]:
    """A figure a factor: accuracy and each metric's change against its values."""
    by_name = {each.name: each for each in found}
    drawn = {}
    for factor in config.factors:
        line = _along(config, factor, by_name)
        before = [float(np.mean(list(each.base.values()))) for _, each in line]
        accuracy: list[tuple[float, float, Interval | None]] = []
        for value, each in line:
            after = list(each.tuned.values())
            accuracy.append((value, float(np.mean(after)), student_interval(after, config.bootstrap.confidence)))
        titles = {name: effect.title for _, each in line for name, effect in each.effects.items()}
        panels = [LinePanel("Greedy accuracy", {"after GRPO": accuracy}, "share", (0.0, 1.0), float(np.mean(before)))]
        panels += [
            LinePanel(f"{titles[metric]}, change from base", {"after GRPO": _points(line, metric)})
            for metric in MAIN
            if metric in titles
        ]
        figure = line_panels(LABELS[factor], panels, scale=SCALES.get(factor, "log"))
        drawn[factor] = (
            f"GRPO against {LABELS[factor]}; all else as in the lab's settings. Mean over seeds with interval, which "
            "is cut at what a quantity cannot be.",
            figure,
        )
    return drawn


def page(config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome) -> list[str]:
    """The findings, as Markdown paragraphs."""
    by_name = {each.name: each for each in found}
    default = by_name[DEFAULT]
    parts = [
        how_made(
            config,
            "GRPO from one base a seed, with one setting changed at a time: what of the sampling carries the change of "
            "the metrics? The paper names the diversity of sampled answers as a cause and leaves its test open. With "
            "more updates from one round there are fewer rounds, so that the number of updates stays the same.",
        ),
        intervals_note(config),
        "## What was found",
        accuracy_note(found),
        "The lab's settings: "
        + "; ".join(
            f"{default.effects[name].title} {effect_words(default.effects[name])}"
            for name in MAIN
            if name in default.effects
        )
        + ".",
    ]
    for factor in config.factors:
        parts += [f"### {factor}: {LABELS[factor]}", f"figure:{factor}", _factor(config, factor, by_name, outcome)]
    parts += ["## The table", markdown_table(effect_cells(found, first="Setting"))]
    if notes := [*missing_notes(found), *mean_notes(found, MAIN)]:
        parts += ["### Mind", "\n".join(notes)]
    return [
        *parts,
        "## What this cannot show",
        limits(
            "One factor at a time says nothing of how factors act together, and the rate of learning was not tuned "
            "anew for each setting: a setting that learns slower also changes the metrics less.",
            "Many intervals stand here, and none is corrected for their number: trust a trend over several values more "
            "than one value.",
        ),
    ]


def _variants(config: ml_collections.ConfigDict) -> list[tuple[str, str, float]]:
    """(name, factor, value) of the default, which has no factor, and of every other setting."""
    found = [(DEFAULT, "", 0.0)]
    for factor, values in config.factors.items():
        standard = None if factor == "num_prompts" else getattr(settings_of(config, "grpo"), factor)
        found += [(f"{factor}={value:g}", factor, float(value)) for value in values if value != standard]
    return found


def _setting(config: ml_collections.ConfigDict, factor: str, value: float) -> Any:
    if factor in ("", "num_prompts"):
        return settings_of(config, "grpo")
    if factor == "batches_per_rollout":  # the same number of updates in fewer rounds
        steps = max(1, config.steps.grpo // int(value))
        return settings_of(config, "grpo", batches_per_rollout=int(value), steps=steps)
    return settings_of(config, "grpo", **{factor: int(value) if factor == "group_size" else value})


def _members(config: ml_collections.ConfigDict, name: str) -> list[Member]:
    return [
        Member(str(seed), f"seed{seed}/base", f"seed{seed}/{name}", f"seed{seed}/{name}") for seed in seeds_of(config)
    ]


def _along(
    config: ml_collections.ConfigDict, factor: str, by_name: Mapping[str, Condition]
) -> list[tuple[float, Condition]]:
    """The values of a factor in order, the default among them, with what came of each."""
    found = [(value, by_name[name]) for name, each, value in _variants(config) if each == factor]
    if factor != "num_prompts":  # all prompts have a number that differs a little from seed to seed
        found.append((float(getattr(settings_of(config, "grpo"), factor)), by_name[DEFAULT]))
    return sorted(found, key=lambda pair: pair[0])


def _points(line: Sequence[tuple[float, Condition]], metric: str) -> POINTS:
    having = [(value, each.effects[metric]) for value, each in line if metric in each.effects]
    return tuple((value, effect.relative, effect.interval) for value, effect in having if effect.relative is not None)


def _factor(config: ml_collections.ConfigDict, factor: str, by_name: Mapping[str, Condition], outcome: Outcome) -> str:
    """What the largest value of a factor does beside the smallest, and what differs from the default."""
    line = _along(config, factor, by_name)
    (low, lowest), (high, highest) = line[0], line[-1]
    apart = _apart(config, highest.name, lowest.name, outcome)
    lines = [_trend(apart.get(metric), metric, factor, low, high) for metric in (*PAPER_DIRECTIONS, "loss")]
    gains = [highest.gains()[seed] - lowest.gains()[seed] for seed in highest.gains()]
    bounds = student_interval(gains, config.bootstrap.confidence)
    way = {1: "better", -1: "worse", 0: "undecided"}[direction(bounds)]
    accuracy = f"- Accuracy at {factor} {high:g} beside {low:g}: {points_words(gains, bounds)}: {way}."
    return "\n".join([accuracy, *lines])


def _apart(config: ml_collections.ConfigDict, one: str, other: str, outcome: Outcome) -> dict[str, Effect]:
    changes = [
        {member.seed: outcome.compared[member.comparison].changes for member in _members(config, name)}
        for name in (one, other)
    ]
    return effects(*changes, confidence=config.bootstrap.confidence, seed=config.bootstrap.seed)


def _trend(effect: Effect | None, metric: str, factor: str, low: float, high: float) -> str:
    if effect is None or effect.beyond is None:
        return f"- {metric}: not measured at both ends."
    way = {1: "rises with it", -1: "falls with it", 0: "undecided: the interval holds 0"}[
        direction(effect.beyond_interval)
    ]
    return (
        f"- {effect.title}, change from base at {factor} {high:g} minus that at {low:g}: "
        f"{interval_words(effect.beyond, effect.beyond_interval)}: {way}."
    )
