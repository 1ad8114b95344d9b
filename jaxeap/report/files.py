"""Writing of report files: complete under their name, or not there at all."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
"""For looking at, and, as vectors, for print."""
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder and renames it to `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes UTF-8 text and returns the path."""
    path = Path(path)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def write_markdown_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes Markdown that holds no HTML, whatever a model's folder, a question or a tensor is called."""
    return write_text(path, _TAG.sub("&lt;", text))


def write_figure(folder: str | os.PathLike[str], name: str, figure: Figure) -> tuple[Path, ...]:
    """Draws a figure into {name}.png, {name}.svg and {name}.pdf and returns the paths; equal figures give equal bytes.

    The layout is found once and then kept, so that the three agree and cost little more than one.
    """
    paths = tuple(Path(folder) / f"{name}.{form}" for form in FORMATS)
    undated: dict[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context({"svg.hashsalt": name, "pdf.fonttype": 42}):  # 42: TrueType, which journals ask for
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for path, form in zip(paths, FORMATS, strict=True):
            with replacing(path) as temporary:
                figure.savefig(temporary, format=form, dpi=160, facecolor="white", metadata=undated[form] or None)
    return paths


def write_png(path: str | os.PathLike[str], figure: Figure, dots_per_inch: int = 160) -> Path:
    """Draws a figure on matplotlib's Agg canvas into a PNG file and returns the path."""
    path = Path(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dots_per_inch, facecolor="white")
    return path
