"""Signs of life: a host that dies or fails ends the others, with a message that names it.

JAX's runtime notices a dead host too, but it can only abort the process, after minutes, from a thread, with a page of
C++ in which no host has a name. Here every host shows a sign of life each second; the first watches for those that stay
out and says so to the others, who each read that verdict, print it, and end.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

BEAT = 1.0
"""Seconds between two signs of life."""
FAILED = 1
BEATS, VERDICT, HEARD = "jaxeap/beats", "jaxeap/verdict", "jaxeap/heard"


class Watch:
    """What a thread of every host does while the run goes on.

    Attributes:
      stop: ends the thread.
      patience: seconds after which a dead host has surely been found.
    """

    def __init__(
        self, client: Any, me: int, names: Sequence[str], silence: int, remedy: str, still: Callable[[], None]
    ):
        """Prepares.

        Args:
          client: of the coordination service.
          me: which host this is.
          names: of all hosts' machines.
          silence: seconds without a sign of life after which a host is given up.
          remedy: what to do then.
          still: called before the process is ended from here.
        """
        self._client, self._me, self._names, self._remedy, self._still = client, me, names, remedy, still
        self._silence = silence
        self.stop = threading.Event()
        self.patience = silence + 10 * BEAT

    def run(self) -> None:
        """Beats and watches until it is stopped; ends the process when a host is dead or has failed."""
        beat = 0
        # Beats are counted by own beats and not by the clock: a machine that sleeps wakes to no verdict.
        seen = {host: ("", 0) for host in range(len(self._names))}
        while not self.stop.wait(BEAT):
            beat += 1
            try:
                self._client.key_value_set(f"{BEATS}/{self._me}", str(beat), allow_overwrite=True)
                if self._me == 0:
                    self._look(seen, beat)
                verdict = self._client.key_value_dir_get(VERDICT)
            except jax.errors.JaxRuntimeError:
                if self.stop.is_set():
                    return
                self._end(f"host 0 ({self._names[0]}) does not answer; {self._remedy}")
            else:
                if verdict:
                    self._hear()
                    if self._me == 0:
                        self._wait_until_heard()
                    self._end(verdict[0][1])

    def fail(self, why: str) -> None:
        """Tells the others that this host fails; on the first, waits until they know, since they hear it from here."""
        self._judge(f"host {self._me} ({self._names[self._me]}): {why}")
        self._hear()
        if self._me == 0:
            self._wait_until_heard()

    def _look(self, seen: dict[int, tuple[str, int]], beat: int) -> None:
        for key, value in self._client.key_value_dir_get(BEATS):
            host = int(key.rpartition("/")[2])
            if seen[host][0] != value:
                seen[host] = (value, beat)
        for host, (_, last) in seen.items():
            if (beat - last) * BEAT > self._silence:
                name = self._names[host]
                self._judge(f"host {host} ({name}) did not answer within {self._silence} s; {self._remedy}")

    def _judge(self, verdict: str) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # Another host came first, or the service is gone.
            self._client.key_value_set(f"{VERDICT}/0", verdict)

    def _hear(self) -> None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            self._client.key_value_set(f"{HEARD}/{self._me}", "yes", allow_overwrite=True)

    def _wait_until_heard(self) -> None:
        until = time.monotonic() + 5 * BEAT
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            while time.monotonic() < until:
                heard = {key.rpartition("/")[2] for key, _ in self._client.key_value_dir_get(HEARD)}
                if len(heard - {"0"}) >= len(self._names) - 1:
                    return
                time.sleep(BEAT / 10)

    def _end(self, message: str) -> None:
        self._still()
        end_process(f"error: {message}")


def end_process(message: str) -> None:
    """Prints the message and ends the process at once: its main thread may wait for a device that never answers."""
    print(message, file=sys.stderr, flush=True)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(FAILED)


def last_words(message: str) -> Callable[[], None]:
    """Has a shell print the message to the standard error when this process ends without calling what is returned.

    JAX's runtime aborts the process when the first host's is gone, and nothing in the process can speak then.
    """
    script = 'read -r word || printf "%s\\n" "$1" >&2'
    shell = subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", message], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    lock = threading.Lock()

    def still() -> None:
        with lock:
            if shell.stdin is not None and not shell.stdin.closed:
                with contextlib.suppress(OSError):
                    shell.stdin.write(b"done\n")
                    shell.stdin.close()
                shell.wait()

    return still
