"""Progress bars that show on terminals only, and leave no trace when they are done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import rich.console
import rich.progress


class Advance(Protocol):
    """Moves a bar on by so many items; a note takes the place of the one before, "" leaves it."""

    def __call__(self, items: int, note: str = "") -> None: ...


@contextlib.contextmanager
def progress_bar(console: rich.console.Console, description: str, total: int) -> Iterator[Advance]:
    """Shows a bar with the time that is left and perhaps a note; yields what moves it on."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("{task.fields[note]}", markup=False),
    )
    with rich.progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total, note="")

        def advance(items: int, note: str = "") -> None:
            bar.advance(task, items)
            if note:
                bar.update(task, note=note)

        yield advance
