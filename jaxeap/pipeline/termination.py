"""SIGTERM, by which clusters announce that a machine is taken away: the run ends cleanly instead of being cut off."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

SECONDS_TO_END = 10.0
"""So long after a SIGTERM another one is not heeded, or it would interrupt the cleaning up."""


class Terminated(BaseException):
    """SIGTERM has come. As KeyboardInterrupt is not, it is not an `Exception`: nothing on the way is to go on."""


@contextlib.contextmanager
def raising_on_sigterm() -> Iterator[None]:
    """While this lasts SIGTERM raises `Terminated` in the main thread, at its next step in Python.

    A device's computation or a compilation that is under way comes to its end first. To be entered in the main thread.
    """
    came_at: list[float] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        if came_at and time.monotonic() - came_at[-1] < SECONDS_TO_END:
            return
        came_at.append(time.monotonic())
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
