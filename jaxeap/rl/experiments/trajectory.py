"""The metrics along training: checkpoints of supervised fine-tuning and of GRPO, with what else changes meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import ml_collections
import numpy as np
import scipy.stats
from matplotlib.figure import Figure

from jaxeap.metrics.bootstrap import Interval
from jaxeap.rl.experiments.claims import PAPER_DIRECTIONS, direction
from jaxeap.rl.experiments.conditions import Condition, Member, condition
from jaxeap.rl.experiments.data_choice import DataChoice
from jaxeap.rl.experiments.effect_plots import LinePanel, line_panels
from jaxeap.rl.experiments.effect_table import MAIN, effect_cells, markdown_table
from jaxeap.rl.experiments.pages import effect_words, how_made, intervals_note, limits, mean_notes, missing_notes
from jaxeap.rl.experiments.plan import Cell, Comparison, ModelRef, Plan, Probe, Text, base_cell
from jaxeap.rl.experiments.seed_bootstrap import student_interval
from jaxeap.rl.experiments.settings import seeds_of, settings_of
from jaxeap.rl.experiments.walk import Outcome

RUNS = {"sft": "base", "grpo": "grpo"}
"""Run -> its cell: the base's own making, and GRPO from it."""
RUN_TITLES = {"sft": "SFT (the making of the base)", "grpo": "GRPO"}
QUANTITIES: Mapping[str, tuple[str, Literal["share", "number"], tuple[float | None, float | None]]] = {
    "greedy_accuracy": ("Greedy accuracy", "share", (0.0, 1.0)),
    "sampled_accuracy": ("Sampled accuracy", "share", (0.0, 1.0)),
    "entropy": ("Entropy of the policy (nats a token)", "number", (0.0, None)),
    "divergence": ("KL from the base (nats a token)", "number", (0.0, None)),
    "moved_share": ("Share of weights away from the base's", "share", (0.0, 1.0)),
    "relative_distance": ("Distance of the weights from the base's", "share", (0.0, None)),
}
"""Quantity -> its title, how it is written, and what it can be."""
OF_TEXT: Mapping[Text, str] = {"own": "scored on its own answers", "reference": "scored on the right answers"}
Line = list[tuple[float, float, Interval | None]]


def plan(config: ml_collections.ConfigDict) -> Plan:
    """For each seed a base and GRPO from it, both with checkpoints; each is contrasted with the base, and probed.

    Raises:
      ValueError: the end of the runs, which is the base's own measurement, is not among the checkpoints.
    """
    if 1.0 not in config.checkpoints:
        raise ValueError(f"config.checkpoints is {config.checkpoints}; 1.0, the end of each run, must be there")
    cells: list[Cell] = []
    comparisons: list[Comparison] = []
    probes: list[Probe] = []
    for seed in seeds_of(config):
        sft, grpo = settings_of(config, "sft"), settings_of(config, "grpo")
        data = DataChoice(seed, sft.steps * sft.batch_size)
        base = base_cell(seed, sft, data)
        cells += [
            Cell(base.name, "sft", None, seed, sft, data, kept_steps(config, "sft")),
            Cell(f"seed{seed}/grpo", "grpo", base.name, seed, grpo, data, kept_steps(config, "grpo")),
        ]
        for run, name in RUNS.items():
            for step in kept_steps(config, run):
                model = ModelRef(f"seed{seed}/{name}", step)
                probes.append(Probe(f"seed{seed}/{run}@{step}", model, ModelRef(base.name)))
                for text in _texts(run):
                    comparisons.append(
                        Comparison(
                            f"seed{seed}/{run}@{step}_{text}",
                            ModelRef(base.name),
                            model,
                            config.contrast.questions,
                            text,
                        )
                    )
    return Plan(cells, comparisons, probes)


def kept_steps(config: ml_collections.ConfigDict, run: str) -> tuple[int, ...]:
    """The steps of a run that are looked at: `config.checkpoints` shares of it."""
    steps = config.steps[run]
    return tuple(sorted({min(steps, max(1, round(share * steps))) for share in config.checkpoints}))


def conditions(config: ml_collections.ConfigDict, outcome: Outcome) -> list[Condition]:
    """One condition a checkpoint and kind of text; accuracies are those that the probes found."""
    found = [
        condition(
            f"{run}@{step}_{text}",
            f"{RUN_TITLES[run]}, step {step}, {'own answers' if text == 'own' else 'right answers'}",
            [
                Member(str(seed), f"seed{seed}/base", f"seed{seed}/{RUNS[run]}", f"seed{seed}/{run}@{step}_{text}")
                for seed in seeds_of(config)
            ],
            outcome,
            config,
        )
        for run in RUNS
        for text in _texts(run)
        for step in kept_steps(config, run)
    ]
    end = f"sft@{config.steps.sft}"  # the base itself

    def accuracies(probe: str, kind: str) -> dict[str, float]:
        return {str(seed): outcome.probed[f"seed{seed}/{probe}"][f"{kind}_accuracy"] for seed in seeds_of(config)}

    return [
        dataclasses.replace(
            each,
            base=accuracies(end, "greedy"),
            base_sampled=accuracies(end, "sampled"),
            tuned=accuracies(each.name.rpartition("_")[0], "greedy"),
            tuned_sampled=accuracies(each.name.rpartition("_")[0], "sampled"),
        )
        for each in found
    ]


def figures(
    config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome
) -> Mapping[str, tuple[str, Figure]]:
    """For each run, everything over its steps."""
    by_name = {each.name: each for each in found}
    drawn = {}
    for run in RUNS:
        panels = [
            LinePanel(title, {"the model": _probed(config, outcome, run, quantity)}, unit, possible)
            for quantity, (title, unit, possible) in QUANTITIES.items()
        ]
        for metric in MAIN:
            lines = {
                f"scored on {'its own' if text == 'own' else 'the right'} answers": _line(
                    config, by_name, run, text, metric
                )
                for text in _texts(run)
            }
            title = next((each.effects[metric].title for each in found if metric in each.effects), metric)
            panels.append(LinePanel(f"{title}, change from the base", lines))
        caption = (
            f"{RUN_TITLES[run]}, {config.seeds} seeds: mean and interval over seeds (the metrics' over questions too). "
            "The base is the end of SFT and the start of GRPO. Intervals are cut at what a quantity cannot be."
        )
        drawn[run] = (caption, line_panels("step", panels, columns=4, scale="log" if run == "sft" else "linear"))
    return drawn


def page(config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome) -> list[str]:
    """The findings, as Markdown paragraphs."""
    by_name = {each.name: each for each in found}
    parts = [
        how_made(
            config,
            "The same measurements at checkpoints along the supervised making of the base and along GRPO from it: when "
            "do the metrics change, and what changes with them? Along SFT, and along GRPO a second time, every model "
            "is scored on the right answers to the same questions, for early in SFT there is hardly a question that is "
            "answered rightly; along GRPO, models are scored on their own answers as well, as in the paper.",
        ),
        intervals_note(config),
        "## What was found",
    ]
    for run in RUNS:
        parts += [f"### {RUN_TITLES[run]}", f"figure:{run}"]
        lines = [_course(config, by_name, outcome, run, text, metric) for text in _texts(run) for metric in MAIN]
        parts.append("\n".join(lines))
    parts += ["## The table", markdown_table(effect_cells(found, first="Checkpoint"))]
    if notes := [*missing_notes(found), *mean_notes(found, MAIN)]:
        parts += ["### Mind", "\n".join(notes)]
    return [
        *parts,
        "## What this cannot show",
        limits(
            "Quantities that change together along one run need not cause each other: nearly all of them go one way in "
            "training, so that a high rank correlation over steps is to be expected of any two.",
            "The contrasts share one base a seed, so that its peculiarities are in all points of a line.",
        ),
    ]


def _texts(run: str) -> tuple[Text, ...]:
    return ("own", "reference") if run == "grpo" else ("reference",)


def _probed(config: ml_collections.ConfigDict, outcome: Outcome, run: str, quantity: str) -> Line:
    line: Line = []
    for step in kept_steps(config, run):
        values = [outcome.probed[f"seed{seed}/{run}@{step}"][quantity] for seed in seeds_of(config)]
        line.append((step, float(np.mean(values)), student_interval(values, config.bootstrap.confidence)))
    return line


def _line(
    config: ml_collections.ConfigDict, by_name: Mapping[str, Condition], run: str, text: str, metric: str
) -> Line:
    line: Line = []
    for step in kept_steps(config, run):
        effect = by_name[f"{run}@{step}_{text}"].effects.get(metric)
        if effect is not None and effect.relative is not None:
            line.append((step, effect.relative, effect.interval))
    return line


def _course(
    config: ml_collections.ConfigDict,
    by_name: Mapping[str, Condition],
    outcome: Outcome,
    run: str,
    text: str,
    metric: str,
) -> str:
    """How one metric went along one run."""
    line = _line(config, by_name, run, text, metric)
    if len(line) < 3:
        return f"- {metric} on {text} text: too few checkpoints could be compared."
    effects_of = {step: by_name[f"{run}@{step}_{text}"].effects[metric] for step, _, _ in line}
    first, last = effects_of[line[0][0]], effects_of[line[-1][0]]
    accuracy = {step: value for step, value, _ in _probed(config, outcome, run, "greedy_accuracy")}
    changes, gains = [value for _, value, _ in line], [accuracy[step] for step, _, _ in line]
    together = ""
    if len(set(changes)) > 1 and len(set(gains)) > 1:
        rank = float(scipy.stats.spearmanr(changes, gains).statistic)
        together = f"; over steps its rank correlation with accuracy is {rank:+.2f}"
    if run == "sft":
        return (
            f"- {first.title}: at step {line[0][0]:g} {effect_words(first)} beside the base that this run ends "
            f"in{together}."
        )
    apart = [step for step, _, bounds in line if direction(bounds)]
    began = (
        f"its interval leaves 0 out at {len(apart)} of {len(line)} checkpoints, first at step {apart[0]:g}"
        if apart
        else "at no checkpoint does its interval leave 0 out"
    )
    claimed = PAPER_DIRECTIONS.get(metric)
    verdict = ""
    if claimed is not None and text == "own":
        way = direction(last.interval)
        verdict = " (as the paper says)" if way == claimed else " (against the paper)" if way else " (undecided)"
    elif not direction(last.interval):
        verdict = " (undecided)"
    where = "own" if text == "own" else "right"
    return f"- {first.title} on {where} answers: {effect_words(last)} at the end{verdict}; {began}{together}."
