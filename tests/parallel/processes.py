"""Several processes on this machine that take each other for hosts, over the loopback, four CPU devices each."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
DEVICES = 4
SECONDS = 600
NOISE = re.compile(r"cpu_aot_loader|\[Gloo\]")


@dataclasses.dataclass(frozen=True)
class Ended:
    """What a process left.

    Attributes:
      status: its exit status, negative where a signal ended it.
      output, errors: what it printed.
    """

    status: int
    output: str
    errors: str

    @property
    def message(self) -> str:
        """The last line of the standard error: what a user sees."""
        return self.errors.strip().rpartition("\n")[2]


def flags(process: int, port: int, processes: int = 2, silence: int = 4) -> list[str]:
    """What tells run.py who it is."""
    return [
        f"--coordinator_address=127.0.0.1:{port}",
        f"--num_processes={processes}",
        f"--process_id={process}",
        "--arrival_seconds=120",
        f"--silence_seconds={silence}",
    ]


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclasses.dataclass(frozen=True)
class Running:
    """A process, and the files that it prints into: a pipe that nobody reads would be full, and stop it."""

    process: subprocess.Popen
    output: IO[str]
    errors: IO[str]


@contextlib.contextmanager
def started(
    command: Callable[[int], Sequence[str]], processes: int = 2, folders: Sequence[Path] = ()
) -> Iterator[list[Running]]:
    """Starts `command(0)`, `command(1)`, ...; kills what still runs in the end.

    Args:
      command: arguments of Python for a process.
      processes: how many.
      folders: where each is started; the repository by default.
    """
    kept = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ.get("XLA_FLAGS", ""))
    environment = os.environ | {
        "XLA_FLAGS": f"{kept} --xla_force_host_platform_device_count={DEVICES}".strip(),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(REPOSITORY),
    }
    with contextlib.ExitStack() as open_files:
        running = []
        for process in range(processes):
            output, errors = (open_files.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2))
            begun = subprocess.Popen(
                [sys.executable, *command(process)],
                cwd=folders[process] if folders else REPOSITORY,
                env=environment,
                stdout=output,
                stderr=errors,
            )
            running.append(Running(begun, output, errors))
        try:
            yield running
        finally:
            for each in running:
                each.process.kill()
                each.process.wait()


def ended(running: Sequence[Running]) -> list[Ended]:
    """Waits for all."""
    return [Ended(each.process.wait(SECONDS), *map(_text, (each.output, each.errors))) for each in running]


def _text(file: IO[str]) -> str:
    file.seek(0)
    return _without_noise(file.read())


def _without_noise(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not NOISE.search(line))
