"""The contrasts of many cells in the form of the paper's Table 1, in the terminal and in Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from jaxeap.metrics.contrast import Contrast
from jaxeap.report import notation
from jaxeap.report.published import SOURCE, published_cell

METRICS = ("intensity", "complexity", "kurtosis", "diversity")
"""The columns: those of Table 1, and what the paper's Figure 3 shows."""
TITLES = ("Intensity", "Complexity", "Kurtosis", "Diversity")
HEADER = ("Pair", "Dataset", "alpha", "Questions", *TITLES)
PUBLISHED_ROW = "published"
LEGEND = "Base to tuned. * marks a difference whose interval leaves 0 out (each by itself: of many, some do by chance)."


@dataclasses.dataclass(frozen=True)
class CellResult:
    """One cell: the contrast, or None where no question was left to compare."""

    pair: str
    dataset: str
    alpha: float
    contrast: Contrast | None

    def to_json(self) -> dict[str, Any]:
        """Everything that is known of the cell."""
        known = published_cell(self.pair, self.dataset, self.alpha)
        return {
            "pair": self.pair,
            "dataset": self.dataset,
            "alpha": self.alpha,
            "contrast": None if self.contrast is None else self.contrast.to_json(),
            "published": None
            if known is None
            else {"source": SOURCE, "method": known.method} | {k: list(v) for k, v in known.values.items()},
        }


def grid_table(results: Sequence[CellResult]) -> Table:
    """One row a cell, and under it the published figures where they are known."""
    table = Table(
        title="Table 1's form", caption=Text(_caption(results)), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
        title_justify="left", caption_justify="left", title_style="bold", caption_style="dim",
    )  # fmt: skip
    for number, name in enumerate(HEADER):
        table.add_column(name, justify="left" if number < 2 else "right", no_wrap=number >= 4)
    for row in _rows(results):
        table.add_row(*map(Text, row), style="dim" if row[3] == PUBLISHED_ROW else None)
    return table


def grid_markdown(results: Sequence[CellResult]) -> str:
    """The same as GitHub-flavoured Markdown."""
    rule = [":--", ":--", *["--:"] * (len(HEADER) - 2)]
    lines = [f"| {' | '.join(row)} |" for row in (HEADER, rule, *_rows(results))]
    return "\n".join([*lines, "", _caption(results)]) + "\n"


def _rows(results: Sequence[CellResult]) -> list[tuple[str, ...]]:
    rows = []
    for result in results:
        cell = (result.pair, result.dataset, f"{result.alpha:g}")
        if result.contrast is None:
            rows.append((*cell, "none left", *[notation.UNDEFINED] * len(METRICS)))
        else:
            values = (_values(result.contrast, name) for name in METRICS)
            rows.append((*cell, f"{result.contrast.examples:,}", *values))
        if known := published_cell(result.pair, result.dataset, result.alpha):
            figures = (
                f"{known.values[name][0]:.3g} to {known.values[name][1]:.3g}" if name in known.values else ""
                for name in METRICS
            )
            rows.append(("", f"({known.method})", "", PUBLISHED_ROW, *figures))
    return rows


def _values(contrast: Contrast, name: str) -> str:
    metric = contrast[name]
    if metric.base is None or metric.tuned is None:
        return notation.UNDEFINED
    low, high = metric.interval or (None, None)
    apart = low is not None and high is not None and (low > 0 or high < 0)
    return f"{notation.number(metric.base)} to {notation.number(metric.tuned)}{' *' if apart else ''}"


def _caption(results: Sequence[CellResult]) -> str:
    known = any(published_cell(result.pair, result.dataset, result.alpha) for result in results)
    return LEGEND + (f" Published: {SOURCE}; not comparable digit by digit, see docs/reproduce.md." if known else "")
