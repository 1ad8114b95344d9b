"""Does inducing the pattern change behaviour: a penalty on the correlation of activations, during SFT and GRPO.

Problems of one level are left out of this training, so that a change on a level that was not trained is seen too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np
from matplotlib.figure import Figure

from jaxeap.rl.experiments.claims import PAPER_DIRECTIONS, direction
from jaxeap.rl.experiments.conditions import Condition, Member, condition
from jaxeap.rl.experiments.data_choice import DataChoice
from jaxeap.rl.experiments.effect_plots import LinePanel, line_panels
from jaxeap.rl.experiments.effect_table import MAIN, beyond_cells, effect_cells, markdown_table
from jaxeap.rl.experiments.effects import Effect
from jaxeap.rl.experiments.pages import (
    how_made,
    interval_words,
    intervals_note,
    limits,
    mean_notes,
    missing_notes,
    points_words,
)
from jaxeap.rl.experiments.plan import Cell, Comparison, ModelRef, Plan, base_cell
from jaxeap.rl.experiments.rl_methods import TITLES
from jaxeap.rl.experiments.seed_bootstrap import student_interval
from jaxeap.rl.experiments.settings import seeds_of, settings_of
from jaxeap.rl.experiments.walk import Outcome
from jaxeap.rl.regularisers import ActivationCorrelation
from jaxeap.tasks.arithmetic import LEVELS


def plan(config: ml_collections.ConfigDict) -> Plan:
    """For each seed a base, and from it each method with each weight of the penalty.

    Raises:
      ValueError: weight 0, which the others are held against, is not among the weights; the level left out is none of
        the task's.
    """
    if 0 not in config.weights:
        raise ValueError(f"config.weights is {config.weights}; 0 must be there, for the others are held against it")
    if config.held_out not in LEVELS:
        raise ValueError(f"config.held_out is {config.held_out!r}; choose one of {', '.join(LEVELS)}")
    trained = tuple(level for level in LEVELS if level != config.held_out)
    cells: list[Cell] = []
    comparisons: list[Comparison] = []
    for seed in seeds_of(config):
        sft = settings_of(config, "sft")
        data = DataChoice(seed, sft.steps * sft.batch_size)
        base = base_cell(seed, sft, data)
        cells.append(base)
        chosen = DataChoice(seed, data.num_demonstrations, levels=trained)
        for method in config.methods:
            for weight in config.weights:
                penalty = ActivationCorrelation(float(weight)) if weight else None
                settings = settings_of(config, method, penalty=penalty)
                cell = Cell(f"seed{seed}/{_name(method, weight)}", method, base.name, seed, settings, chosen)
                cells.append(cell)
                comparisons.append(
                    Comparison(cell.name, ModelRef(base.name), ModelRef(cell.name), config.contrast.questions)
                )
    return Plan(cells, comparisons)


def conditions(config: ml_collections.ConfigDict, outcome: Outcome) -> list[Condition]:
    """One condition a method and weight, held against the same method without penalty."""
    return [
        condition(
            _name(method, weight),
            f"{TITLES[method]}, penalty {weight:+g}" if weight else f"{TITLES[method]}, no penalty",
            _members(config, method, weight),
            outcome,
            config,
            control=_members(config, method, 0) if weight else None,
        )
        for method in config.methods
        for weight in sorted(config.weights)
    ]


def figures(
    config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome
) -> Mapping[str, tuple[str, Figure]]:
    """Accuracy, on trained levels and on the one left out, and the metrics, against the weight."""
    by_name = {each.name: each for each in found}
    weights, confidence = sorted(config.weights), config.bootstrap.confidence
    panels = []
    for level in LEVELS:
        lines = {}
        for method in config.methods:
            after = [(weight, _levels(by_name[_name(method, weight)], level)) for weight in weights]
            lines[TITLES[method]] = [
                (weight, float(np.mean(values)), student_interval(values, confidence)) for weight, values in after
            ]
        before = float(np.mean([levels[level] for levels in found[0].base_levels.values()]))
        title = f"Accuracy: {level}{' (not trained)' if level == config.held_out else ''}"
        panels.append(LinePanel(title, lines, "share", (0.0, 1.0), before))
    for metric in MAIN:
        title = next((each.effects[metric].title for each in found if metric in each.effects), metric)
        lines = {
            TITLES[method]: [
                (weight, effect.relative, effect.interval)
                for weight in weights
                if (effect := by_name[_name(method, weight)].effects.get(metric)) and effect.relative is not None
            ]
            for method in config.methods
        }
        panels.append(LinePanel(f"{title}, change from base", lines))
    caption = (
        "Against the weight of the penalty on the correlation of activations between examples: above 0, training makes "
        "them differ more; below 0, it makes them more alike. Mean over seeds with interval, which is cut at "
        "what a quantity cannot be."
    )
    return {"weights": (caption, line_panels("weight of the penalty", panels, columns=4))}


def page(config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome) -> list[str]:
    """The findings, as Markdown paragraphs."""
    by_name = {each.name: each for each in found}
    parts = [
        how_made(
            config,
            "The paper's pattern goes along with better answers; does it make them? Training is pushed, by a penalty "
            "on the mean correlation between examples of what the layers write, to more diverse activations (weight "
            "above 0) or to less diverse ones (below 0). If the pattern carries the improvement, more of it should "
            f"improve accuracy, less of it should harm. Problems of level `{config.held_out}` are left out.",
        ),
        "figure:weights",
        intervals_note(config),
        "## What was found",
    ]
    for method in config.methods:
        for weight in sorted(config.weights):
            if weight:
                opposite = by_name.get(_name(method, -weight))
                parts.append(
                    _induced(config, by_name[_name(method, weight)], by_name[_name(method, 0)], weight, opposite)
                )
    parts += ["## The table", markdown_table(effect_cells(found, first="Training"))]
    parts += ["Change minus that of the same method without penalty:", markdown_table(beyond_cells(found))]
    if notes := [*missing_notes(found), *mean_notes(found, MAIN)]:
        parts += ["### Mind", "\n".join(notes)]
    return [
        *parts,
        "## What this cannot show",
        limits(
            "The penalty acts on activations and the metrics on edge scores: where it does not move inter-sample "
            "diversity, this says nothing of what that does.",
            "A penalty also takes part of each update away from the task, whatever it penalises; a loss of accuracy at "
            "both signs speaks for that, and not for the pattern.",
        ),
    ]


def _name(method: str, weight: float) -> str:
    return f"{method}_{weight:+g}" if weight else f"{method}_0"


def _members(config: ml_collections.ConfigDict, method: str, weight: float) -> list[Member]:
    name = _name(method, weight)
    return [
        Member(str(seed), f"seed{seed}/base", f"seed{seed}/{name}", f"seed{seed}/{name}") for seed in seeds_of(config)
    ]


def _levels(each: Condition, level: str) -> list[float]:
    return [levels[level] for levels in each.tuned_levels.values()]


def _induced(
    config: ml_collections.ConfigDict, pushed: Condition, plain: Condition, weight: float, opposite: Condition | None
) -> str:
    """Whether the penalty did what it was to do, and what became of accuracy.

    What the opposite push moves the same way is moved by there being a penalty, and not by where it pushes.
    """
    effect = pushed.effects.get("diversity")
    way = 0 if effect is None else direction(effect.beyond_interval)
    wanted = 1 if weight > 0 else -1
    if effect is None or effect.beyond is None:
        induced = "diversity was not measured, so nothing is known of whether the pattern was induced"
    else:
        told = interval_words(effect.beyond, effect.beyond_interval)
        induced = {
            wanted: f"diversity went the way it was pushed ({told} beyond no penalty)",
            -wanted: f"diversity went against the push ({told} beyond no penalty)",
            0: f"whether diversity moved is undecided ({told} beyond no penalty)",
        }[way]
    either_way = way == wanted and _as_well(effect, None if opposite is None else opposite.effects.get("diversity"))
    if either_way:
        induced += ", but is not known to have gone further than under the opposite push"
    accuracies = []
    ways = {}
    for name, levels in (
        ("trained levels", [level for level in LEVELS if level != config.held_out]),
        (f"the level left out ({config.held_out})", [config.held_out]),
    ):
        gains = [
            float(np.mean([pushed.tuned_levels[seed][level] - plain.tuned_levels[seed][level] for level in levels]))
            for seed in pushed.tuned_levels
        ]
        bounds = student_interval(gains, config.bootstrap.confidence)
        ways[name] = direction(bounds)
        accuracies.append(f"{name} {points_words(gains, bounds)}")
    others = [
        f"{pushed.effects[metric].title.lower()} {'up' if direction(found) > 0 else 'down'}"
        for metric in PAPER_DIRECTIONS
        if metric != "diversity" and metric in pushed.effects
        if direction(found := pushed.effects[metric].beyond_interval)
    ]
    return (
        f"**{pushed.title}**: {induced}. Accuracy beside no penalty: {'; '.join(accuracies)}: "
        f"{_reading(way == wanted and not either_way, wanted, set(ways.values()))}. Other metrics that moved: "
        f"{', '.join(others) or 'none'}."
    )


def _as_well(effect: Effect | None, opposite: Effect | None) -> bool:
    """Whether the opposite push may have moved the metric as far the same way."""
    if effect is None or effect.beyond is None or opposite is None or opposite.beyond_interval is None:
        return False
    low, high = opposite.beyond_interval
    return low <= effect.beyond <= high or direction((low, high)) == (1 if effect.beyond > 0 else -1)


def _reading(induced: bool, wanted: int, ways: set[int]) -> str:
    """What the accuracies say of the pattern as a cause."""
    if not induced:
        return "since the pattern was not shown to be induced, this is no test of it"
    if ways == {0}:
        return "undecided: the pattern was induced, and accuracy is not known to have moved"
    if ways <= {0, wanted}:
        return "supported: accuracy went with the pattern"
    if ways <= {0, -wanted}:
        return "**contradicted**: accuracy went against the pattern"
    return "accuracy went with the pattern on some levels and against it on others"
