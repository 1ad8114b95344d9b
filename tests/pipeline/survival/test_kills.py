"""Killed at any moment: what is on the disk then is what a run goes on from, and it comes to the same end.

Between two changes of the file system a kill leaves the same, so copies of the work directory before every renaming
and deleting are all that kills can leave, but for the content of temporary files. Real kills, of processes, are few
here; `killing.py` has the thirty.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ml_collections
import pytest
import rich.console

from jaxeap.pipeline import run_pipeline, runner
from jaxeap.pipeline.execution.termination import Terminated, raising_on_sigterm
from jaxeap.pipeline.storage import artifacts, workdir
from jaxeap.pipeline.storage.workdir import LOCK, open_workdir
from tests.pipeline.conftest import run_uncollected
from tests.pipeline.survival import killing
from tests.pipeline.survival.killing import SMALL, parted_config, results, temporary_files

SECONDS = 240
"""For a process to come to where it is killed, on a machine that has other work."""


def quiet() -> rich.console.Console:
    return rich.console.Console(file=io.StringIO())


def record(patched: pytest.MonkeyPatch, root: Path, target: Path, wanted: Callable[[], bool] = lambda: True) -> None:
    """Copies the work directory to target/0, target/1, ... whenever a file in it is about to get or lose its name."""

    def recorded(function: Callable) -> Callable:
        def called(path, *arguments, **options):
            if wanted() and root in Path(path).absolute().parents:
                shutil.copytree(root, target / str(len(list(target.glob("*")))))
            return function(path, *arguments, **options)

        return called

    for module, name in ((os, "replace"), (os, "rename"), (shutil, "rmtree")):
        patched.setattr(module, name, recorded(getattr(module, name)))


@pytest.fixture(scope="module")
def killed_anywhere(pair_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders 0, 1, ..., each what a kill would have left."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "at").mkdir()
    with pytest.MonkeyPatch.context() as patched:
        run_uncollected(patched)
        record(patched, folder / "w", folder / "at")
        run_pipeline(parted_config(pair_folder), folder / "w", quiet())
    return folder / "at"


def goes_on(killed: Path, config: ml_collections.ConfigDict, expected: dict[str, bytes], tmp_path: Path) -> Path:
    """Runs to the end from a copy of what was left, and looks at the results; returns the copy."""
    copy = shutil.copytree(killed, tmp_path / f"{killed.name}_goes_on")
    run_pipeline(config, copy, quiet())
    assert results(copy) == expected, killed.name
    assert not temporary_files(copy)
    return copy


def test_killed_before_any_of_some_writes(killed_anywhere, parted, whole, tmp_path):
    left = sorted(killed_anywhere.iterdir(), key=lambda path: int(path.name))
    assert len(left) > 60
    assert any(temporary_files(path) for path in left)
    for killed in left[9::31]:
        goes_on(killed, parted, whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_killed_before_any_write(part, killed_anywhere, parted, whole, tmp_path):
    for killed in sorted(killed_anywhere.iterdir())[part::4]:
        goes_on(killed, parted, whole, tmp_path)


def test_killed_while_publishing(parted, whole, tmp_path, monkeypatch):
    publishing: list[bool] = []
    publish = runner._publish

    def watched(folder: Path) -> None:
        publishing.append(True)
        publish(folder)

    (tmp_path / "at").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(runner, "_publish", watched)
        record(patched, tmp_path / "w", tmp_path / "at", lambda: bool(publishing))
        run_pipeline(parted, tmp_path / "w", quiet())
    left = list((tmp_path / "at").iterdir())
    assert len(left) == 5, "metrics.json, table.md, table.tex, weights.md, manifest.json"
    for killed in left:
        goes_on(killed, parted, whole, tmp_path)


@pytest.mark.parametrize("places", [slice(6, 7), pytest.param(slice(None), marks=pytest.mark.slow)])
def test_killed_while_superseding(places, parted, whole, tmp_path, monkeypatch):
    """A run on fewer questions, killed while it puts the old results aside; and one that then goes back to the old."""
    run_pipeline(parted, tmp_path / "w", quiet())
    moving: list[bool] = []
    supersede = workdir.supersede

    def watched(*arguments):
        moving.append(True)
        try:
            return supersede(*arguments)
        finally:
            moving.clear()

    fewer = parted.copy_and_resolve_references()
    fewer.selection.max_pairs = 9
    (tmp_path / "at").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(runner, "supersede", watched)
        record(patched, tmp_path / "w", tmp_path / "at", lambda: bool(moving))
        run_pipeline(fewer, tmp_path / "w", quiet())
    expected = results(tmp_path / "w")
    left = sorted((tmp_path / "at").iterdir(), key=lambda path: int(path.name))
    assert len(left) > 10
    for killed in left[places]:
        superseded = goes_on(killed, fewer, expected, tmp_path) / "superseded"
        kept = {path.name: path for each in superseded.iterdir() for path in each.iterdir()}
        for name in ("select", "attribute", "report", "metrics.json", "manifest.json", "config.json"):
            assert under(name, results(kept[name].parent)) == under(name, whole), "nothing that was found is lost"
    (tmp_path / "back").mkdir()
    goes_on(left[len(left) // 2], parted, whole, tmp_path / "back")


def under(name: str, found: dict[str, bytes]) -> dict[str, bytes]:
    """What is the file or lies in the folder of that name."""
    return {path: content for path, content in found.items() if path.split("/")[0] == name}


@pytest.fixture
def started(pair_folder: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """A function that starts the small run in a process of its own, on tmp_path/w, and says to tmp_path/said."""
    (tmp_path / "small.py").write_text(SMALL.format(folder=str(pair_folder)))
    runs: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        runs.append(killing.start(tmp_path / "w", [f"--config={tmp_path / 'small.py'}"], tmp_path / "said"))
        return runs[-1]

    yield start
    for run in runs:
        killing.kill(run)


def wait_for(pattern: str, folder: Path, run: subprocess.Popen[bytes]) -> None:
    began = time.monotonic()
    while not list(folder.glob(pattern)):
        assert run.poll() is None and time.monotonic() - began < SECONDS
        time.sleep(0.005)


@pytest.mark.slow
def test_processes_that_are_killed_and_terminated(started, parted, whole, tmp_path):
    """SIGKILL while it scores; a second run, started meanwhile, was refused; SIGTERM to the next; then to the end."""
    folder = tmp_path / "w"
    first = started()
    wait_for("attribute/*/00001.safetensors", folder, first)
    with pytest.raises(ValueError, match=f'in use by another run .*"pid": {first.pid}'):
        run_pipeline(parted, folder, quiet())
    killing.kill(first)
    assert killing.reached(folder) == "attribute"
    with open_workdir(folder):
        pass

    second = started()
    wait_for("audit/*_parts/*", folder, second)
    second.send_signal(signal.SIGTERM)
    assert second.wait(SECONDS) == 143
    said = (tmp_path / "said").read_text()
    assert said.count("stopped by SIGTERM; the same command goes on from here") == 1
    assert "Traceback" not in said
    assert not temporary_files(folder)
    assert (folder / LOCK).read_bytes() == b""

    run_pipeline(parted, folder, quiet())
    assert results(folder) == whole


def test_terminated_in_the_middle_of_a_write(parted, whole, tmp_path, monkeypatch):
    """In this process, where the moment can be chosen: a temporary file is there and has not got its name."""
    save, calls = artifacts.save_file, []

    def terminated(tensors, path, metadata):
        save(tensors, path, metadata)
        calls.append(path)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(artifacts, "save_file", terminated)
        with pytest.raises(Terminated), raising_on_sigterm():
            run_pipeline(parted, tmp_path / "w", quiet())
    assert not temporary_files(tmp_path / "w")
    assert killing.reached(tmp_path / "w") == "attribute"
    assert len(list((tmp_path / "w" / "attribute").rglob("*.safetensors"))) == 5
    run_pipeline(parted, tmp_path / "w", quiet())
    assert results(tmp_path / "w") == whole
