"""Runs side by side as a table: for each metric a row a run."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from jaxeap.report import notation
from jaxeap.report.compare.runs import RunComparison

TITLE = "Runs side by side"


def comparison_cells(comparison: RunComparison) -> list[tuple[str, ...]]:
    """A header and the rows, the metric named in its first row alone."""
    confidences = {run.contrast.confidence for run in comparison.runs}
    interval = f"{100 * confidences.pop():g}% interval" if len(confidences) == 1 else "Interval"
    cells: list[tuple[str, ...]] = [
        ("Metric", "Run", "Base", "Tuned", "Difference", "Relative change", interval, "Questions")
    ]
    for name, title in comparison.metric_names().items():
        for run, metric in zip(comparison.runs, comparison.found(name), strict=True):
            row: tuple[str, ...] = (notation.UNDEFINED,) * 6
            if metric is not None:
                row = (
                    notation.number(metric.base),
                    notation.number(metric.tuned),
                    notation.signed(metric.difference),
                    notation.percent(metric.relative_change),
                    notation.interval(metric.interval),
                    f"{metric.examples:,}",
                )
            cells.append((title, run.name, *row))
            title = ""
    return cells


def comparison_table(comparison: RunComparison) -> Table:
    """For the terminal, what may mislead in the caption."""
    header, *rows = comparison_cells(comparison)
    table = Table(
        title=Text(TITLE), caption=Text("\n".join(_notes(comparison))), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
        title_justify="left", caption_justify="left", title_style="bold", caption_style="dim",
    )  # fmt: skip
    for place, name in enumerate(header):
        table.add_column(name.replace(" ", "\n"), justify="left" if place < 2 else "right", vertical="bottom")
    for number, row in enumerate(rows):
        if number and row[0]:
            table.add_section()
        table.add_row(*map(Text, row))
    return table


def comparison_markdown(comparison: RunComparison) -> str:
    """As GitHub-flavoured Markdown, the runs' models and what may mislead below the table."""
    models = [("Run", "Base model", "Tuned model"), *((run.name, run.base, run.tuned) for run in comparison.runs)]
    parts = [
        f"# {TITLE}",
        _markdown(comparison_cells(comparison), 2),
        "\n".join(f"- {note}" for note in _notes(comparison)),
        _markdown(models, 3),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _notes(comparison: RunComparison) -> list[str]:
    return [f"Mind: {warning}." for warning in comparison.warnings]


def _markdown(cells: Sequence[Sequence[str]], left: int) -> str:
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in cells)
    rule = [":--"] * left + ["--:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))
