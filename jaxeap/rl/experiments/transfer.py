"""Does the change carry over: models trained on arithmetic, contrasted on a task that is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np
from matplotlib.figure import Figure

from jaxeap.rl.experiments.claims import ONLINE_RL, PAPER_DIRECTIONS, direction
from jaxeap.rl.experiments.conditions import Condition, Member, condition
from jaxeap.rl.experiments.data_choice import DataChoice
from jaxeap.rl.experiments.effect_plots import CLIPPED, change_plot, clipped
from jaxeap.rl.experiments.effect_table import MAIN, effect_cells, markdown_table, share
from jaxeap.rl.experiments.effects import Effect
from jaxeap.rl.experiments.pages import effect_words, how_made, intervals_note, limits, mean_notes, missing_notes
from jaxeap.rl.experiments.plan import Cell, Comparison, ModelRef, Plan, Text, base_cell
from jaxeap.rl.experiments.rl_methods import NULL, TITLES
from jaxeap.rl.experiments.settings import seeds_of, settings_of
from jaxeap.rl.experiments.walk import Outcome
from jaxeap.tasks.lab_tasks import LAB_TASKS

TEXTS: tuple[Text, ...] = ("own", "reference")


def plan(config: ml_collections.ConfigDict) -> Plan:
    """For each seed a base that learned both tasks, and from it models by each method, trained on arithmetic alone.

    Raises:
      ValueError: the other task is none of the lab's.
    """
    if config.other not in LAB_TASKS:
        raise ValueError(f"config.other is {config.other!r}; choose one of {', '.join(LAB_TASKS)}")
    cells: list[Cell] = []
    comparisons: list[Comparison] = []
    for seed in seeds_of(config):
        sft = settings_of(config, "sft")
        count = sft.steps * sft.batch_size
        base = base_cell(seed, sft, DataChoice(seed, count, also=config.other))
        cells.append(base)
        for method in config.methods:
            cell = Cell(
                f"seed{seed}/{method}", method, base.name, seed, settings_of(config, method), DataChoice(seed, count)
            )
            cells.append(cell)
            for task, questions in _sources(config).items():
                longest = LAB_TASKS[questions.partition(":")[0]].max_answer_tokens
                for text in TEXTS:
                    comparisons.append(
                        Comparison(
                            f"{cell.name}_{task}_{text}",
                            ModelRef(base.name),
                            ModelRef(cell.name),
                            questions,
                            text,
                            longest + 2,
                        )
                    )
    return Plan(cells, comparisons)


def conditions(config: ml_collections.ConfigDict, outcome: Outcome) -> list[Condition]:
    """One condition a method, task and kind of text, held against the null on the same; accuracies are of that task."""
    found = []
    for method in config.methods:
        for task in _sources(config):
            for text in TEXTS:
                members = _members(config, method, task, text)
                control = _members(config, NULL, task, text) if NULL in config.methods and method != NULL else None
                title = f"{TITLES[method]}, {_task_name(config, task)}, {'own' if text == 'own' else 'right'} answers"
                name = f"{method}_{task}_{text}"
                made = condition(name, title, members, outcome, config, control=control)
                asked = {each.seed: f"seed{each.seed}/{method}_{task}_own" for each in members}
                shares = {seed: outcome.compared[name].accuracy or {} for seed, name in asked.items()}
                found.append(
                    dataclasses.replace(
                        made,
                        base={seed: each["base"] for seed, each in shares.items()},
                        tuned={seed: each["tuned"] for seed, each in shares.items()},
                    )
                )
    return found


def figures(
    config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome
) -> Mapping[str, tuple[str, Figure]]:
    """The changes on both tasks beside each other, one figure a kind of text."""
    other = [f"{method}_other_{text}" for method in config.methods for text in TEXTS]
    drawn: dict[str, tuple[str, Figure]] = {}
    for text in TEXTS:
        rows = [each for each in found if each.name.endswith(f"_{text}")]
        caption = f"Models trained on arithmetic, on {'their own' if text == 'own' else 'the right'} answers; orange: "
        caption += f"{config.other}, which they were not trained on"
        caption += f"; {CLIPPED}." if clipped(rows) else "."
        drawn[text] = (caption, change_plot(rows, highlighted=other))
    return drawn


def page(config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome) -> list[str]:
    """The findings, as Markdown paragraphs."""
    by_name = {each.name: each for each in found}
    parts = [
        how_made(
            config,
            f"The base learned arithmetic and `{config.other}` ({LAB_TASKS[config.other].summary}) side by side; each "
            f"method then trained it on arithmetic alone. Contrasted on {config.contrast.num_questions} questions of "
            "either task: is what RL changed there to be seen where it did not train?",
        ),
        _ability(config, by_name),
        "figure:own",
        "figure:reference",
        intervals_note(config),
        "## What was found",
    ]
    for method in config.methods:
        parts.append(f"### {TITLES[method]}")
        for text in TEXTS:
            here, there = by_name[f"{method}_arithmetic_{text}"], by_name[f"{method}_other_{text}"]
            lines = [_carried(config, here.effects.get(m), there.effects.get(m), m) for m in PAPER_DIRECTIONS]
            kind = "each model's own answers" if text == "own" else "the right answers, given to both models"
            parts.append(f"On {kind}:\n\n" + "\n".join(lines))
    parts.append(_summary(config, by_name))
    parts += ["## The table", markdown_table(effect_cells(found))]
    if notes := [*missing_notes(found), *mean_notes(found, MAIN)]:
        parts += ["### Mind", "\n".join(notes)]
    return [
        *parts,
        "## What this cannot show",
        limits(
            "On the other task a model may change because RL on arithmetic made it forget, and not because a general "
            "mechanism grew; the accuracies beside the changes tell how far that goes.",
            "Both tasks are written in the same few characters by one small model; tasks that share less may share "
            "less of a change.",
        ),
    ]


def _sources(config: ml_collections.ConfigDict) -> dict[str, str]:
    return {"arithmetic": config.contrast.questions, "other": f"{config.other}:test"}


def _task_name(config: ml_collections.ConfigDict, task: str) -> str:
    return config.other if task == "other" else "arithmetic"


def _members(config: ml_collections.ConfigDict, method: str, task: str, text: str) -> list[Member]:
    return [
        Member(str(seed), f"seed{seed}/base", f"seed{seed}/{method}", f"seed{seed}/{method}_{task}_{text}")
        for seed in seeds_of(config)
    ]


def _ability(config: ml_collections.ConfigDict, by_name: Mapping[str, Condition]) -> str:
    """Whether the models can do the other task, which decides what the contrast on their own answers is worth."""
    any_ = by_name[f"{config.methods[0]}_other_own"]
    base = float(np.mean(list(any_.base.values())))
    after = ", ".join(
        f"{TITLES[method]} {share(float(np.mean(list(by_name[f'{method}_other_own'].tuned.values()))))}"
        for method in config.methods
    )
    if all(by_name[f"{method}_other_own"].missing.keys() >= any_.base.keys() for method in config.methods):
        worth = (
            "The models cannot do it well enough to be compared on their own answers; what is said of it rests on the "
            "right answers, which both models were given (teacher forcing)."
        )
    else:
        worth = (
            "Both kinds of contrast are given: on their own answers, as in the paper, and on the right answers, which "
            "both models are given (teacher forcing), so that the text is the same."
        )
    return f"Questions of `{config.other}` answered rightly: base {share(base)}; after arithmetic {after}. {worth}"


def _carried(config: ml_collections.ConfigDict, here: Effect | None, there: Effect | None, metric: str) -> str:
    """One metric on the task of the training and on the other."""
    title = next((each.title for each in (here, there) if each is not None), metric)
    told = f"- {title}: arithmetic {effect_words(here)}; {config.other} {effect_words(there)}: "
    return f"{told}{_reading(here, there)}."


def _reading(here: Effect | None, there: Effect | None) -> str:
    if here is None or there is None or here.interval is None or there.interval is None:
        return "not measured on both"
    one, other = direction(here.interval), direction(there.interval)
    if not one:
        return "undecided: no change is established on arithmetic itself, so there is nothing to carry over"
    if not other:
        return "undecided: changed on arithmetic, and not known to have changed on the other"
    return "carries over: the same way on both" if one == other else "does not carry over: the other way there"


def _summary(config: ml_collections.ConfigDict, by_name: Mapping[str, Condition]) -> str:
    """How many of the changes under online RL carry over."""
    online = [method for method in config.methods if method in ONLINE_RL]
    readings = [
        _reading(by_name[f"{each}_arithmetic_{text}"].effects.get(m), by_name[f"{each}_other_{text}"].effects.get(m))
        for each in online
        for text in TEXTS
        for m in PAPER_DIRECTIONS
    ]
    counts = ", ".join(
        f"{sum(each.startswith(word) for each in readings)} {told}"
        for word, told in (
            ("carries over", "carry over"),
            ("does not", "go the other way"),
            ("undecided", "are undecided"),
            ("not measured", "were not measured"),
        )
    )
    methods = ", ".join(TITLES[method] for method in online) or "no method"
    return f"Of {len(readings)} comparisons under online RL ({methods}), {counts}."
