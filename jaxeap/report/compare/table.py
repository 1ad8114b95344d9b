"""Runs side by side as a table: for each metric a row a run."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from jaxeap.report import notation
from jaxeap.report.compare.runs import RunComparison

TITLE = "Runs side by side"
BEYOND_TITLE = "How much more each run changed than the first"
BEYOND_NOTE = (
    "A run's change is tuned − base over its own questions. Intervals resample questions (percentiles): those that two "
    "runs have in common are drawn for both, the others apart"
)


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


def beyond_first_cells(comparison: RunComparison) -> list[tuple[str, ...]]:
    """How much more each run changed than the first: a header and the rows; the header alone where there are none."""
    first = comparison.runs[0]
    interval = f"{100 * first.contrast.confidence:g}% interval"
    header = ("Metric", "Run", f"Change − that of {first.name}", interval, "Questions", "On common ones", interval)
    by_metric: dict[str, list[tuple[str, ...]]] = {}
    for each in comparison.beyond_first:
        for row in each.rows:
            drawn = {"paired": "the same", "partly paired": f"{row.common:,} common", "unpaired": "none common"}
            cells = (
                notation.signed(row.difference),
                notation.interval(row.interval),
                drawn[row.drawn],
                notation.signed(row.common_difference),
                notation.interval(row.common_interval),
            )
            rows = by_metric.setdefault(row.name, [])
            rows.append(("" if rows else row.title, each.run, *cells))
    return [header, *(row for rows in by_metric.values() for row in rows)]


def comparison_table(comparison: RunComparison) -> Table:
    """For the terminal, what may mislead in the caption."""
    return _table(TITLE, comparison_cells(comparison), _notes(comparison))


def beyond_first_table(comparison: RunComparison) -> Table | None:
    """For the terminal; None where no run was held against the first."""
    if not comparison.beyond_first:
        return None
    return _table(BEYOND_TITLE, beyond_first_cells(comparison), _beyond_notes(comparison))


def _table(title: str, cells: Sequence[Sequence[str]], notes: Sequence[str]) -> Table:
    header, *rows = cells
    table = Table(
        title=Text(title), caption=Text("\n".join(notes)), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
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
        *_beyond_markdown(comparison),
        _markdown(models, 3),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _beyond_markdown(comparison: RunComparison) -> list[str]:
    if not comparison.beyond_first:
        return []
    notes = "\n".join(f"- {note}" for note in _beyond_notes(comparison))
    return [f"## {BEYOND_TITLE}", _markdown(beyond_first_cells(comparison), 2), notes]


def _beyond_notes(comparison: RunComparison) -> list[str]:
    missing = [f"{each.run}: {each.missing}." for each in comparison.beyond_first if each.missing]
    return [*missing, f"{BEYOND_NOTE}."]


def _notes(comparison: RunComparison) -> list[str]:
    return [f"Mind: {warning}." for warning in comparison.warnings]


def _markdown(cells: Sequence[Sequence[str]], left: int) -> str:
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in cells)
    rule = [":--"] * left + ["--:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))
