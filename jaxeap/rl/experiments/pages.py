"""What the pages of findings share: sentences that follow from numbers, and the frame around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_collections
from matplotlib.figure import Figure

from jaxeap.metrics.bootstrap import Interval
from jaxeap.report import notation
from jaxeap.report.files import write_png, write_text
from jaxeap.rl.experiments.claims import Verdict, direction
from jaxeap.rl.experiments.conditions import Condition
from jaxeap.rl.experiments.effect_table import percent_interval
from jaxeap.rl.experiments.effects import Effect
from jaxeap.rl.experiments.seed_bootstrap import FEWEST_FOR_PERCENTILES

WORDS: Mapping[Verdict, str] = {
    "supported": "supported",
    "contradicted": "**contradicted**",
    "undecided": "undecided: the interval holds 0",
    "missing": "not measured: too few questions",
}
WAYS = {1: "up", -1: "down", 0: "neither way for certain"}

ONE_SEED = 10
"""Times as large as the next one is the change of a seed that makes the mean by itself (where it is above 100%)."""
LIMITS = (
    "One task, one model shape of 0.6 million parameters and answers of four tokens: nothing here says what happens in "
    "a language model of billions of parameters, in either direction.",
    "The base mixes two rules by design, and RL selects one of them; a base that was merely trained too little may "
    "change otherwise.",
    "Only questions that both models answer rightly are compared, as in the paper. Which these are depends on both "
    "models, and a base that is right by luck counts as well as one that knows.",
    "Each model is scored on its own answers, so a change of the scores is one of model and text together; and edge "
    "scores are first-order estimates of an edge's effect.",
    "Scores scale with gradients, which are small where a model is sure of its answer: a change that goes along with "
    "the loss need not be one of circuits.",
)


def write_page(
    folder: Path, name: str, title: str, parts: Sequence[str], figures: Mapping[str, tuple[str, Figure]]
) -> Path:
    """Writes NAME.md and NAME/*.png into `folder`.

    Args:
      folder: made where it is not there.
      name: of the experiment.
      title: of the page.
      parts: Markdown paragraphs; a part "figure:KEY" stands for the figure of that key.
      figures: key -> caption and figure.
    """
    for key, (_, figure) in figures.items():
        write_png(folder / name / f"{key}.png", figure)
    images = {f"figure:{key}": f"![{caption}]({name}/{key}.png)\n\n{caption}" for key, (caption, _) in figures.items()}
    text = "\n\n".join([f"# {title}", *(images.get(part, part) for part in parts)])
    return write_text(folder / f"{name}.md", text + "\n")


def how_made(config: ml_collections.ConfigDict, what: str) -> str:
    """The paragraph that opens a page."""
    name, seeds = config.experiment, config.seeds
    steps = ", ".join(f"{method} {count}" for method, count in config.steps.items())
    return (
        f"{what}\n\nMade by `python -m jaxeap.rl --config=configs/lab/{name}.py --workdir=workdirs/{name} "
        f"--config.seeds={seeds}`, {'one seed' if seeds == 1 else f'{seeds} seeds'} from {config.first_seed} on; "
        f"steps: {steps}. Contrasts: "
        f"{config.contrast.num_questions} questions of `{config.contrast.questions}`, none of them trained on, "
        f"answered greedily; {config.contrast.level}-level graph. This page was written by that command from its "
        "numbers; the words of a verdict are chosen by an interval."
    )


def intervals_note(config: ml_collections.ConfigDict) -> str:
    """What the intervals of a page speak of."""
    share = f"{config.bootstrap.confidence:.0%}"
    if config.seeds == 1:
        return (
            f"Intervals ({share}) resample the questions of one training run: they say nothing of other runs, and no "
            "verdict below reaches beyond this one."
        )
    few = (
        ""
        if config.seeds >= FEWEST_FOR_PERCENTILES
        else f"; percentiles of {config.seeds} seeds reach too little, so that the interval takes in Student's of the "
        "seeds' values as well"
    )
    return (
        f"Intervals ({share}) are for the mean over seeds and cover other training runs and other questions: seeds are "
        "resampled, then the questions of each (percentiles, moved outwards for the small number of seeds"
        f"{few}). Those of accuracies are Student's over seeds. They are made for one number at a time: among many of "
        "things that did not change, some miss 0 all the same."
    )


def effect_words(effect: Effect | None) -> str:
    """ "+12.3% [+2.0%, +30.1%], up in 4 of 5 seeds"."""
    if effect is None or effect.relative is None:
        return "no value"
    return f"{notation.percent(effect.relative)} {percent_interval(effect.interval)}, {seed_words(effect)}"


def seed_words(effect: Effect) -> str:
    """In how many seeds a change went the way of its mean."""
    up = (effect.relative or 0) >= 0
    count = effect.rising() if up else effect.falling()
    return f"{'up' if up else 'down'} in {count} of {len(effect.seeds)} seeds"


def moved(condition: Condition, metrics: Sequence[str]) -> dict[str, int]:
    """Metric -> +1 or -1, for those whose interval does not hold 0."""
    found = {name: direction(condition.effects[name].interval) for name in metrics if name in condition.effects}
    return {name: way for name, way in found.items() if way}


def points_words(gains: Sequence[float], bounds: Interval | None) -> str:
    """ "+2.8 points [+2.0, +3.6]", of differences of accuracy, one a seed."""
    told = f"{100 * sum(gains) / len(gains):+.1f} points"
    if bounds is None:
        return told
    if len(set(gains)) == 1:
        return f"{told} (the same in every seed, so that there is no telling how far others may lie)"
    return f"{told} [{100 * bounds[0]:+.1f}, {100 * bounds[1]:+.1f}]"


def mean_notes(conditions: Sequence[Condition], metrics: Sequence[str]) -> list[str]:
    """A line for each mean over seeds that is not what it seems: one seed makes it, or a seed has no part in it."""
    notes = []
    for each in conditions:
        for effect in (each.effects[metric] for metric in metrics if metric in each.effects):
            if absent := [seed for seed in each.selected if seed not in effect.seeds and seed not in each.missing]:
                notes.append(
                    f"- {each.title}, {effect.title.lower()}: {_seeds(absent)} {'has' if len(absent) == 1 else 'have'} "
                    f"no relative change, being 0 in the base; the mean is over the {len(effect.seeds)} others."
                )
            by_size = sorted(effect.seeds.items(), key=lambda item: abs(item[1]))
            if len(by_size) > 1 and abs(by_size[-1][1]) > ONE_SEED * abs(by_size[-2][1]) > 0 and effect.interval:
                if abs(by_size[-1][1]) < 1:
                    continue
                others = ", ".join(notation.percent(change) for _, change in by_size[:-1])
                notes.append(
                    f"- {each.title}, {effect.title.lower()}: the mean is seed {by_size[-1][0]}'s "
                    f"({notation.percent(by_size[-1][1])}; the others {others})."
                )
    return notes


def missing_notes(conditions: Sequence[Condition]) -> list[str]:
    """A line for each condition that has seeds without a contrast."""
    return [
        f"- {each.title}: no contrast for {', '.join(f'seed {seed} ({why})' for seed, why in each.missing.items())}."
        for each in conditions
        if each.missing
    ]


def accuracy_note(conditions: Sequence[Condition]) -> str:
    """What training did to accuracy."""
    gains = [
        f"{each.title} {100 * each.mean_gain():+.1f} (sampled at temperature 1: {100 * _sampled_gain(each):+.1f})"
        for each in conditions
    ]
    return f"Greedy accuracy on the whole test split, in points, mean over seeds: {'; '.join(gains)}."


def limits(*more: str) -> str:
    """What a page cannot show, as a list."""
    return "\n".join(f"- {line}" for line in (*more, *LIMITS))


def interval_words(value: float | None, bounds: Interval | None) -> str:
    """A relative change with its interval."""
    return f"{notation.percent(value)} {percent_interval(bounds)}"


def _seeds(names: Sequence[str]) -> str:
    return f"seed{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _sampled_gain(condition: Condition) -> float:
    gains = [condition.tuned_sampled[seed] - condition.base_sampled[seed] for seed in condition.tuned_sampled]
    return sum(gains) / len(gains)
