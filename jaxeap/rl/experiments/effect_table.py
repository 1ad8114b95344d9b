"""Tables of an experiment, one row a condition, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from jaxeap.metrics.bootstrap import Interval
from jaxeap.report import notation
from jaxeap.rl.experiments.conditions import Condition
from jaxeap.rl.experiments.effects import Effect

Cells = Sequence[Sequence[str]]
"""Rows of a table, the first one its header; a cell may have several lines."""

MAIN = ("intensity", "complexity", "kurtosis", "diversity", "loss")
"""The paper's metrics, and the loss beside them."""


def effect_cells(
    conditions: Sequence[Condition], metrics: Sequence[str] = MAIN, first: str = "Method"
) -> list[list[str]]:
    """Accuracy before and after, questions compared, and for each metric its relative change.

    A metric's cell has three lines: the mean over seeds, its interval, and in how many seeds it rose.
    """
    titles = {name: each.title for condition in conditions for name, each in condition.effects.items()}
    shown = [name for name in metrics if name in titles]
    header = [first, "Accuracy", "Questions", *(titles[name] for name in shown)]
    return [header, *([each.title, _accuracy(each), _questions(each), *_effects(each, shown)] for each in conditions)]


def beyond_cells(conditions: Sequence[Condition], metrics: Sequence[str] = MAIN) -> list[list[str]]:
    """For each metric, the relative change minus that of the control of the same seed, with its interval."""
    titles = {name: each.title for condition in conditions for name, each in condition.effects.items()}
    shown = [name for name in metrics if name in titles]
    rows = [
        [each.title, *(_beyond(each.effects.get(name)) for name in shown)]
        for each in conditions
        if any(effect.beyond is not None for effect in each.effects.values())
    ]
    return [["Method", *(titles[name] for name in shown)], *rows]


def terminal_table(title: str, cells: Cells, caption: str | None = None) -> Table:
    """The table for the terminal."""
    table = Table(
        title=Text(title),
        caption=caption and Text(caption),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
        show_lines=any("\n" in cell for row in cells for cell in row),
    )
    for place, name in enumerate(cells[0]):
        table.add_column(name, justify="left" if place == 0 else "right", vertical="top", overflow="fold")
    for row in cells[1:]:
        table.add_row(*map(Text, row))
    return table


def markdown_table(cells: Cells) -> str:
    """The table as GitHub-flavoured Markdown."""
    header, *rows = ([cell.replace("|", "\\|").replace("\n", "<br>") for cell in row] for row in cells)
    rule = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def percent_interval(bounds: Interval | None) -> str:
    """Both ends as percentages, a dash for None."""
    return notation.UNDEFINED if bounds is None else f"[{notation.percent(bounds[0])}, {notation.percent(bounds[1])}]"


def share(value: float) -> str:
    """A share as a percentage with a digit after the point."""
    return f"{100 * value:.1f}%"


def _accuracy(condition: Condition) -> str:
    base, tuned = (sum(found.values()) / len(found) for found in (condition.base, condition.tuned))
    return f"{share(base)} → {share(tuned)}\n{100 * condition.mean_gain():+.1f} points"


def _questions(condition: Condition) -> str:
    counts = list(condition.selected.values())
    text = str(counts[0]) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return text + (f"\n{len(condition.missing)} missing" if condition.missing else "")


def _effects(condition: Condition, metrics: Sequence[str]) -> list[str]:
    return [_effect(condition.effects.get(name)) for name in metrics]


def _effect(effect: Effect | None) -> str:
    if effect is None or effect.relative is None:
        return notation.UNDEFINED
    rose = f"up in {effect.rising()} of {len(effect.seeds)}"
    return f"{notation.percent(effect.relative)}\n{percent_interval(effect.interval)}\n{rose}"


def _beyond(effect: Effect | None) -> str:
    if effect is None or effect.beyond is None:
        return notation.UNDEFINED
    return f"{notation.percent(effect.beyond)}\n{percent_interval(effect.beyond_interval)}"
