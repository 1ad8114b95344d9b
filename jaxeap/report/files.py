"""Writing of report files: complete under their name, or not there at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from matplotlib.figure import Figure


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


def write_png(path: str | os.PathLike[str], figure: Figure, dots_per_inch: int = 160) -> Path:
    """Draws a figure on matplotlib's Agg canvas into a PNG file and returns the path."""
    path = Path(path)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dots_per_inch, facecolor="white")
    return path
