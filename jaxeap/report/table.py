"""The contrast as a table, in the terminal, in Markdown and for LaTeX."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from jaxeap.metrics.contrast import Contrast, MetricContrast
from jaxeap.report import notation
from jaxeap.report.files import write_markdown_text
from jaxeap.report.latex import write_latex

METHODS = {"bca": "BCa", "percentile": "percentile"}
P = "p"

Account = Sequence[tuple[str, int, int]]
"""What each filter of the selection did, in order: its name, how many questions it removed and how many it left."""


def contrast_table(contrast: Contrast) -> Table:
    """One row a metric: base, tuned, difference, relative change, interval, p; the choices behind them in the caption.

    No stars: an interval says more, and ten metrics of one pair are neither independent nor corrected for their number.
    """
    title = f"What changed from base to tuned ({_questions(contrast.examples)})"
    return rich_table(title, _contrast_cells(contrast), caption="\n".join(notes(contrast)))


def filter_table(account: Account) -> Table:
    """How many questions each filter removed and left."""
    return rich_table("Which questions are compared", _filter_cells(account))


def markdown(contrast: Contrast, account: Account = (), controls: str = "") -> str:
    """Both tables as GitHub-flavoured Markdown, the controls between them; without an account the first alone."""
    parts = [
        f"# What changed from base to tuned ({_questions(contrast.examples)})",
        markdown_table(_contrast_cells(contrast)),
        "\n".join(f"- {note}" for note in notes(contrast)),
    ]
    if controls:
        parts.append(controls.strip())
    if account:
        parts += ["## Which questions are compared", markdown_table(_filter_cells(account))]
    return "\n\n".join(parts) + "\n"


def write_markdown(path: str | os.PathLike[str], contrast: Contrast, account: Account = (), controls: str = "") -> Path:
    """Writes `markdown` to `path` (usually table.md)."""
    return write_markdown_text(path, markdown(contrast, account, controls))


def write_tex(path: str | os.PathLike[str], contrast: Contrast) -> Path:
    """Writes the first table for LaTeX (usually table.tex), its notes in the caption."""
    title = f"What changed from base to tuned ({_questions(contrast.examples)})."
    return write_latex(path, _contrast_cells(contrast), title, "tab:jaxeap-contrast", notes(contrast))


def notes(contrast: Contrast) -> list[str]:
    """What a reader must know beside the numbers: the choices made, how the intervals arose, what is left out."""
    lines = [
        f"Choices: {contrast.options.describe()}.",
        f"Intervals of the difference: {contrast.resamples:,} bootstrap resamples of the questions, paired, "
        f"{METHODS[contrast.method]}, seed {contrast.seed}. Entropies in nats.",
    ]
    if contrast.permutations:
        lines.append(
            "p: how often models exchanged within questions at random differ as much, two-sided, "
            f"at most {contrast.permutations:,} exchanges; not corrected for the number of metrics."
        )
    fallen_back = [metric.title for metric in contrast.metrics if metric.method not in (None, contrast.method)]
    if fallen_back:
        lines.append(f"{', '.join(fallen_back)}: percentile interval, since {METHODS[contrast.method]} is not defined.")
    lines += [
        f"{metric.title}: without {_questions(contrast.examples - metric.examples)} whose scores are all alike."
        for metric in contrast.metrics
        if metric.examples < contrast.examples
    ]
    if any(notation.UNDEFINED in row for row in _contrast_cells(contrast)):
        lines.append(f"{notation.UNDEFINED}: too few questions for a value or an interval, or a change from zero.")
    return lines


def _contrast_cells(contrast: Contrast) -> list[tuple[str, ...]]:
    header = ("Metric", "Base", "Tuned", "Difference", "Relative change", f"{100 * contrast.confidence:g}% interval", P)
    rows = [header, *(_metric_cells(metric) for metric in contrast.metrics)]
    return rows if contrast.permutations else [row[:-1] for row in rows]


def _metric_cells(metric: MetricContrast) -> tuple[str, ...]:
    return (
        metric.title,
        notation.number(metric.base),
        notation.number(metric.tuned),
        notation.signed(metric.difference),
        notation.percent(metric.relative_change),
        notation.interval(metric.interval),
        notation.probability(metric.p_value),
    )


def _filter_cells(account: Account) -> list[tuple[str, ...]]:
    start = [("questions answered by both models", "", f"{account[0][1] + account[0][2]:,}")] if account else []
    return [("Filter", "Removed", "Left"), *start, *((name, f"{out:,}", f"{left:,}") for name, out, left in account)]


def rich_table(title: str, cells: list[tuple[str, ...]], caption: str | None = None) -> Table:
    """A table for the terminal, from a header and rows; the first column is of names, the others of numbers."""
    table = Table(
        title=Text(title), caption=caption and Text(caption), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
        title_justify="left", caption_justify="left", title_style="bold", caption_style="dim",
    )  # fmt: skip
    header, *rows = cells
    for name in header:
        # in a narrow terminal intervals break between their ends and names between words; single numbers never break
        is_name, is_interval = name == header[0], "interval" in name
        table.add_column(
            name.replace(" ", "\n"),
            justify="left" if is_name else "right",
            no_wrap=not is_name and not is_interval,
            min_width=12 if is_interval else 13 if is_name else None,
            vertical="bottom",
        )
    for row in rows:
        table.add_row(*map(Text, row))  # as Text, for a string would be read as markup
    return table


def markdown_table(cells: list[tuple[str, ...]]) -> str:
    """The same as GitHub-flavoured Markdown."""
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in cells)
    rule = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def _questions(count: int) -> str:
    return f"{count:,} question{'' if count == 1 else 's'}"
