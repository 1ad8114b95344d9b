"""The contrast as a LaTeX table, for \\usepackage{booktabs}."""

import os
from collections.abc import Sequence
from pathlib import Path

from jaxeap.report.files import write_text

_ESCAPES = {character: rf"\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "α": r"$\alpha$",
    "|": r"$|$",
    "<": "$<$",
    ">": "$>$",
}


def latex_table(cells: Sequence[Sequence[str]], caption: str, label: str, notes: Sequence[str] = ()) -> str:
    """A table environment: the first row of cells is the header, the first column is left-aligned, all others right.

    Args:
        cells: rows of plain text; what LaTeX would read as a command is escaped.
        caption, notes: plain text; the notes follow the caption.
        label: for references, written as it is.
    """
    header, *rows = cells
    lines = [" & ".join(map(_cell, row)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{' '.join(map(escaped, (caption, *notes)))}}}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            " & ".join(map(escaped, header)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def write_latex(path: str | os.PathLike[str], cells: Sequence[Sequence[str]], caption: str, label: str,
                notes: Sequence[str] = ()) -> Path:  # fmt: skip
    """Writes `latex_table`; arguments as there."""
    return write_text(path, "% needs \\usepackage{booktabs}\n" + latex_table(cells, caption, label, notes))


def escaped(text: str) -> str:
    """Plain text as LaTeX shows it unchanged."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _cell(text: str) -> str:
    """A cell, in which a minus before a digit is one in print too, and a bracket begins no optional argument."""
    shown = escaped(text)
    for digit in "0123456789":
        shown = shown.replace(f"-{digit}", f"$-${digit}")
    return f"{{{shown}}}" if shown.startswith("[") else shown
