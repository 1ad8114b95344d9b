"""One base a seed, and from it a model by every method: the paper's central claim put to a controlled test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ml_collections
from matplotlib.figure import Figure

from jaxeap.report import notation
from jaxeap.rl.experiments.claims import ONLINE_RL, PAPER_DIRECTIONS, judge
from jaxeap.rl.experiments.conditions import Condition, Member, condition
from jaxeap.rl.experiments.data_choice import DataChoice
from jaxeap.rl.experiments.effect_plots import CLIPPED, change_plot, clipped
from jaxeap.rl.experiments.effect_table import MAIN, beyond_cells, effect_cells, markdown_table, percent_interval
from jaxeap.rl.experiments.pages import (
    WAYS,
    WORDS,
    accuracy_note,
    effect_words,
    how_made,
    interval_words,
    intervals_note,
    limits,
    mean_notes,
    missing_notes,
    moved,
)
from jaxeap.rl.experiments.plan import Cell, Comparison, ModelRef, Plan, base_cell
from jaxeap.rl.experiments.settings import seeds_of, settings_of
from jaxeap.rl.experiments.walk import Outcome

TITLES = {
    "sft_more": "SFT, more of it",
    "rejection": "Rejection sampling",
    "grpo": "GRPO",
    "dr_grpo": "Dr. GRPO",
    "rloo": "RLOO",
    "ppo": "PPO",
    "dpo": "DPO",
    "online_dpo": "Online DPO",
}
NULL = "sft_more"
COMPANIONS = ("node_entropy", "participation_entropy", "effective_edges", "tail_index")


def plan(config: ml_collections.ConfigDict) -> Plan:
    """For each seed a base and a model by each of `config.methods`, each contrasted with its base."""
    cells: list[Cell] = []
    comparisons: list[Comparison] = []
    for seed in seeds_of(config):
        sft = settings_of(config, "sft")
        data = DataChoice(seed, sft.steps * sft.batch_size)
        base = base_cell(seed, sft, data)
        cells.append(base)
        for method in config.methods:
            cell = Cell(f"seed{seed}/{method}", method, base.name, seed, settings_of(config, method), data)
            cells.append(cell)
            comparisons.append(
                Comparison(cell.name, ModelRef(base.name), ModelRef(cell.name), config.contrast.questions)
            )
    return Plan(cells, comparisons)


def conditions(config: ml_collections.ConfigDict, outcome: Outcome) -> list[Condition]:
    """One condition a method, held against `sft_more` where that was trained."""
    members = {
        method: [
            Member(str(seed), f"seed{seed}/base", f"seed{seed}/{method}", f"seed{seed}/{method}")
            for seed in seeds_of(config)
        ]
        for method in config.methods
    }
    return [
        condition(
            method,
            TITLES.get(method, method),
            members[method],
            outcome,
            config,
            control=members.get(NULL) if method != NULL else None,
        )
        for method in config.methods
    ]


def figures(
    config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome
) -> Mapping[str, tuple[str, Figure]]:
    """The changes of all methods beside each other."""
    figure = change_plot(found, highlighted=ONLINE_RL)
    caption = (
        f"Relative change of each metric from base, {config.bootstrap.confidence:.0%} intervals; online RL in orange"
        f"{f'; {CLIPPED}' if clipped(found) else ''}."
    )
    return {"changes": (caption, figure)}


def page(config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome) -> list[str]:
    """The findings, as Markdown paragraphs."""
    by_name = {each.name: each for each in found}
    null = by_name.get(NULL)
    parts = [
        how_made(
            config,
            "From one supervised base a seed, a model by each method, on the same questions and with the lab's "
            "settings of each; then every model is contrasted with its base. The base is the same, the task is the "
            "same: what differs is the method, and how much it trains.",
        ),
        "## The table",
        markdown_table(effect_cells(found)),
        f'{intervals_note(config)} "Loss" is the mean of -log p over the scored answers, each model\'s own.',
        "figure:changes",
        "## What was found",
        accuracy_note(found),
        *(_claim(metric, found) for metric in PAPER_DIRECTIONS),
    ]
    if null is not None:
        parts += ["### The null", _null(null), "### Beyond the null", _beyond_text(found)]
    if contrary := [by_name[name] for name in ("dpo", "online_dpo") if name in by_name]:
        parts += ["### DPO", *(_offline(each) for each in contrary)]
    parts += ["### Robust companions", markdown_table(effect_cells(found, COMPANIONS))]
    if null is not None:
        parts += ["Beyond the null, as above:", markdown_table(beyond_cells(found, COMPANIONS))]
    if notes := [*missing_notes(found), *mean_notes(found, MAIN)]:
        parts += ["### Mind", "\n".join(notes)]
    return [*parts, "## What this cannot show", limits()]


def _claim(metric: str, found: Sequence[Condition]) -> str:
    """One metric of the paper's claim: what became of it in each online RL method."""
    claimed = PAPER_DIRECTIONS[metric]
    online = [each for each in found if each.name in ONLINE_RL]
    if not online:
        return f"**{metric}**: no online RL method was trained, so the claim was not tested."
    title = next((each.effects[metric].title for each in online if metric in each.effects), metric)
    verdicts = [judge(each.effects[metric].interval if metric in each.effects else None, claimed) for each in online]
    if set(verdicts) == {"supported"}:
        whole = "the claim is supported at this scale"
    elif set(verdicts) == {"contradicted"}:
        whole = "the claim is contradicted at this scale"
    elif {"supported", "contradicted"} <= set(verdicts):
        whole = "the methods disagree"
    elif "contradicted" in verdicts:
        whole = "the claim is contradicted for some of the methods, and supported for none"
    elif "supported" in verdicts:
        whole = "the claim is supported for some of the methods only"
    else:
        whole = "undecided"
    lines = [
        f"- {each.title}: {effect_words(each.effects.get(metric))}: {WORDS[verdict]}."
        for each, verdict in zip(online, verdicts, strict=True)
    ]
    return f"**{title}** (the paper: {WAYS[claimed]} after PPO and GRPO): {whole}.\n\n" + "\n".join(lines)


def _null(null: Condition) -> str:
    """What more of the same training does: the change that training in itself brings."""
    changed = moved(null, tuple(PAPER_DIRECTIONS))
    told = "; ".join(f"{each.title} {effect_words(each)}" for name, each in null.effects.items() if name in MAIN)
    if changed:
        which = ", ".join(f"{null.effects[name].title.lower()} ({WAYS[way]})" for name, way in changed.items())
        verdict = f"The null is not one in {which}: a change of these is not yet a sign of RL."
    else:
        verdict = "None of the paper's metrics is known to move under the null; absence is not shown by that."
    return f"More of the supervised training that made the base: {told}. {verdict}"


def _beyond_text(found: Sequence[Condition]) -> str:
    """Each method's change minus that of the null of the same seed."""
    lines = []
    for metric, claimed in PAPER_DIRECTIONS.items():
        for each in found:
            effect = each.effects.get(metric)
            if each.name in ONLINE_RL and effect is not None and effect.beyond is not None:
                verdict = judge(effect.beyond_interval, claimed)
                lines.append(
                    f"- {effect.title}, {each.title}: {interval_words(effect.beyond, effect.beyond_interval)}: that "
                    f"online RL moves it {WAYS[claimed]} more than the null does is {WORDS[verdict]}."
                )
    table = markdown_table(beyond_cells(found))
    explained = "Relative change minus that of the null of the same seed, in percentage points of the base's value."
    return "\n\n".join([explained, table, "\n".join(lines)])


def _offline(each: Condition) -> str:
    """The paper has DPO show little of the pattern."""
    lines = []
    for metric in ("intensity", "diversity"):
        effect = each.effects.get(metric)
        verdict = judge(None if effect is None else effect.interval, PAPER_DIRECTIONS[metric])
        reading = {
            "supported": "it shows the change that the paper reserves to online RL",
            "contradicted": "it changes the other way",
            "undecided": "no change is established (the paper finds weak or inconsistent ones); nor is it excluded",
            "missing": "not measured",
        }[verdict]
        if effect is not None and effect.beyond_interval is not None:
            more = judge(effect.beyond_interval, PAPER_DIRECTIONS[metric])
            if verdict == "supported" and more != "supported":
                beyond = percent_interval(effect.beyond_interval)
                reading = (
                    f"it moves as online RL does in the paper, and is not known to do so more than the null ({beyond})"
                )
        bounds = notation.UNDEFINED if effect is None else percent_interval(effect.interval)
        lines.append(f"{'intensity' if metric == 'intensity' else 'inter-sample diversity'} {bounds}: {reading}")
    return f"{each.title}: {'; '.join(lines)}."
