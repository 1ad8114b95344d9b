"""A disk that fills up: one error that says where and how much, nothing lost, and with room the same bytes."""

import errno
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.stage import read_manifest
from jaxeap.pipeline.storage.disk import DiskFullError
from jaxeap.pipeline.storage.workdir import open_workdir
from tests.pipeline.survival.killing import results, temporary_files


def full_from(monkeypatch: pytest.MonkeyPatch, write: int) -> None:
    """Lets so many files get their names, and none after them."""
    replace, calls = os.replace, []

    def replaced(*arguments, **options):
        calls.append(1)
        if len(calls) > write:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(*arguments, **options)

    monkeypatch.setattr(os, "replace", replaced)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_full_at_any_write(step, parted, whole, console, tmp_path, monkeypatch):
    """Each try may write a few files more than the one before, and the next takes up what is left."""
    workdir = tmp_path / "w"
    tries = 0
    while True:
        with monkeypatch.context() as patched:
            full_from(patched, tries)
            try:
                run_pipeline(parted, workdir, console)
                break
            except DiskFullError as error:
                assert error.errno == errno.ENOSPC
                assert re.search(rf"^no room in {workdir}.*: .* are free on its disk\. Nothing", str(error))
        assert not temporary_files(workdir)
        tries += step
    assert tries > 10
    assert results(workdir) == whole


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A function that mounts a file system in memory of so many KiB, or gives it another size."""
    folder, mounted = tmp_path / "small", []

    def sized(kibibytes: int) -> Path:
        folder.mkdir(exist_ok=True)
        options = f"{'remount,' if mounted else ''}size={kibibytes}k"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"this machine lets nobody mount a tmpfs here: {done.stderr.decode().strip()}")
        mounted.append(1)
        return folder

    yield sized
    if mounted:
        subprocess.run(["umount", folder], check=True)


def test_small_file_system(parted, whole, console, tmpfs):
    sizes = [60, 100, 160]  # KiB, of about 400 that the results take
    stopped_in = set()
    for size in sizes:
        workdir = tmpfs(size) / "w"
        with pytest.raises(DiskFullError, match=rf"no room in {workdir}.* are free on its disk\. Nothing that was"):
            run_pipeline(parted, workdir, console)
        assert not temporary_files(workdir)
        manifests = [read_manifest(path.parent) for path in workdir.glob("*/stage.json")]
        stopped_in |= {manifest.stage for manifest in manifests if not manifest.complete}
        with open_workdir(workdir):
            pass
    assert len(stopped_in) > 1
    run_pipeline(parted, tmpfs(4096) / "w", console)
    assert results(workdir) == whole
