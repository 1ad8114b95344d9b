"""SIGTERM, by which clusters announce that a machine is taken away: the run ends cleanly instead of being cut off."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

SECONDS_TO_END = 10.0
"""So long after a SIGTERM another one is not heeded, or it would interrupt the cleaning up."""
SECONDS_TO_ANOTHER_TRY = 0.1


class Terminated(BaseException):
    """SIGTERM has come. As KeyboardInterrupt is not, it is not an `Exception`: nothing on the way is to go on."""


@contextlib.contextmanager
def raising_on_sigterm() -> Iterator[None]:
    """While this lasts SIGTERM raises `Terminated` in the main thread, at its next step in Python.

    A device's computation or a compilation that is under way comes to its end first. To be entered in the main thread.
    Python discards what is raised in a callback of its own (JAX has one in the garbage collector), in a finaliser and
    the like, and tells `sys.unraisablehook` alone: SIGTERM, or SIGINT after a Ctrl-C, is then sent again, until it has
    been raised to some effect.
    """
    came_at: list[float] = []
    ended = threading.Event()

    def terminate(number: int, frame: FrameType | None) -> None:
        if came_at and time.monotonic() - came_at[-1] < SECONDS_TO_END:
            return
        came_at.append(time.monotonic())
        raise Terminated

    def send_again(number: int) -> None:
        if not ended.wait(SECONDS_TO_ANOTHER_TRY):
            came_at.clear()
            os.kill(os.getpid(), number)

    def discarded(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, Terminated | KeyboardInterrupt):
            number = signal.SIGTERM if isinstance(unraisable.exc_value, Terminated) else signal.SIGINT
            threading.Thread(target=send_again, args=(number,), daemon=True).start()
        else:
            hook_before(unraisable)

    before, hook_before = signal.signal(signal.SIGTERM, terminate), sys.unraisablehook
    sys.unraisablehook = discarded
    try:
        yield
    finally:
        ended.set()
        sys.unraisablehook = hook_before
        signal.signal(signal.SIGTERM, before)
