import errno
import resource
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors import SafetensorError

from jaxeap.pipeline.storage.artifacts import write_tensors
from jaxeap.pipeline.storage.disk import DiskFullError, room_wanted


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_no_room_is_said_with_the_folder_what_is_free_and_what_is_needed(tmp_path, monkeypatch, error):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(DiskFullError) as caught, room_wanted(tmp_path), room_wanted(tmp_path / "a" / "b", 3 * 2**20):
        raise error
    assert f"no room in {tmp_path}: b needs 3 MiB and 4.88 KiB are free on its disk" in str(caught.value)
    assert ("the quota is used up" in str(caught.value)) == ("quota" in str(error))
    assert caught.value.errno in (errno.ENOSPC, errno.EDQUOT)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "x"), SafetensorError("x"), ValueError("28"), KeyboardInterrupt()]
)
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as caught, room_wanted(tmp_path):
        raise error
    assert caught.value is error


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file can become larger than 10,000 bytes; Python has the signal for it ignored."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_tensors_that_do_not_fit_leave_nothing(tmp_path, small_files):
    write_tensors(tmp_path / "few.safetensors", {"x": np.zeros(100)}, {})
    with pytest.raises(DiskFullError, match=rf"no room in {tmp_path}: many\.safetensors needs 39\.1 KiB .*ulimit -f"):
        write_tensors(tmp_path / "many.safetensors", {"x": np.zeros(5000)}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["few.safetensors"]
