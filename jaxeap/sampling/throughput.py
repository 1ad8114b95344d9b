"""A progress bar of answers that tells the tokens a second; on terminals only."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator

import rich.console
import rich.progress

SECONDS = 30.0
"""The rate is that of the last so many seconds: long enough to be steady, short enough to tell what is going on."""


@contextlib.contextmanager
def answer_bar(description: str, total: int, console: rich.console.Console) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar; yields a function that is told how many answers ended and how many tokens were written since."""
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[rate]}"),
        rich.progress.TimeRemainingColumn(),
    )
    rate = token_rate()
    with rich.progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total, rate="")

        def advance(answers: int, tokens: int) -> None:
            bar.update(task, advance=answers, rate=f"{rate(tokens):,.0f} tokens/s")

        yield advance


def token_rate(clock: Callable[[], float] = time.monotonic) -> Callable[[int], float]:
    """A function that is told of tokens as they come and gives their number a second over the last `SECONDS`."""
    seen: deque[tuple[float, int]] = deque([(clock(), 0)])
    total = 0

    def rate(tokens: int) -> float:
        nonlocal total
        now, total = clock(), total + tokens
        seen.append((now, total))
        while len(seen) > 2 and now - seen[1][0] > SECONDS:
            seen.popleft()
        since, before = seen[0]
        return (total - before) / max(now - since, 1e-9)

    return rate
