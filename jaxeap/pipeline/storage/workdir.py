"""The work directory: one run at a time, nothing in it that is not a run's own, nothing overwritten."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxeap.parallel import hosts
from jaxeap.pipeline.storage.artifacts import read_json, remove_if_unfinished, remove_unfinished, write_json

MARKER = "jaxeap.json"
"""A folder that holds this file is a work directory."""
FORMAT = 1
LOCK = ".lock"
SUPERSEDED = "superseded"


@contextlib.contextmanager
def open_workdir(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Makes or opens a work directory and holds it for this process, or for all hosts of a run.

    The lock is the operating system's, on the file `.lock`: it ends with the process that holds it, however that
    ends, so a lock is never left behind. The file says who holds it, for the message to the second one.

    Raises:
      ValueError: the folder cannot be made, holds something else, is of another format, or is in use.
    """
    with contextlib.ExitStack() as held:

        def hold() -> None:
            held.enter_context(_opened(Path(path)))

        hosts.on_first(hold)
        hosts.require_seen(lambda: [Path(path) / LOCK])
        yield Path(path)


@contextlib.contextmanager
def _opened(workdir: Path) -> Iterator[None]:
    if workdir.is_file():
        raise ValueError(f"the work directory {workdir} is a file; give a folder")
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"the work directory {workdir} cannot be made ({reason}); give another --workdir") from error
    _refuse_other_contents(workdir)
    with _locked(workdir):
        if not (workdir / MARKER).is_file():
            write_json(workdir / MARKER, {"format": FORMAT, "what": "work directory of jaxeap's run.py"})
        yield


def require_free(path: str | os.PathLike[str]) -> None:
    """Refuses a work directory that another run holds: at once, before a plan is made on the device that it uses.

    Raises:
      ValueError: it is in use.
    """

    def look() -> None:
        if (Path(path) / LOCK).is_file():
            with _locked(Path(path)):
                pass

    hosts.on_first(look)


@contextlib.contextmanager
def swept(workdir: Path, folders: Sequence[str]) -> Iterator[None]:
    """Removes temporary files: those of a killed run now, and this run's if it ends with an error or a signal."""
    if not hosts.is_first():
        yield
        return
    _sweep(workdir, folders)
    try:
        yield
    except BaseException:
        _sweep(workdir, folders)
        raise


def supersede(workdir: Path, names: Sequence[str]) -> Path | None:
    """Moves files or folders of the work directory to the next free `superseded/N`; None where none of them exists."""
    if not (present := [name for name in names if (workdir / name).exists()]):
        return None
    numbers = [int(path.name) for path in (workdir / SUPERSEDED).glob("*") if path.name.isdecimal()]
    target = workdir / SUPERSEDED / str(max(numbers, default=0) + 1)
    target.mkdir(parents=True)
    for name in present:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).rename(target / name)
    return target


def _sweep(workdir: Path, folders: Sequence[str]) -> None:
    for path in list(workdir.iterdir()):
        remove_if_unfinished(path)
    remove_unfinished(workdir / name for name in folders)


def _refuse_other_contents(workdir: Path) -> None:
    others = sorted(path.name for path in workdir.iterdir() if not path.name.startswith("."))
    if others and MARKER not in others:
        raise ValueError(
            f"{workdir} is not a work directory of jaxeap and not empty (it holds {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); give --workdir another folder"
        )
    if others and (found := read_json(workdir / MARKER).get("format")) != FORMAT:
        raise ValueError(f"{workdir} has format {found}, this version writes format {FORMAT}; give another --workdir")


@contextlib.contextmanager
def _locked(workdir: Path) -> Iterator[None]:
    with (workdir / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ValueError(
                f"{workdir} is in use by another run ({file.read().strip() or 'just starting'}); wait for it to end, "
                "or give another --workdir"
            ) from None
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
