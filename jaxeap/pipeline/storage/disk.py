"""A full disk, said in one line: which folder, how much is free, how much was needed."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space on the device, a user's quota used up, a file larger than the system lets this process write."""
_UNITS = ("bytes", "KiB", "MiB", "GiB")


class DiskFullError(OSError):
    """There is no room for a result."""


@contextlib.contextmanager
def room_wanted(path: Path, needed: int | None = None) -> Iterator[None]:
    """Names the place when what is done here fails for want of room.

    Args:
      path: of the file or folder that is being written; need not be there.
      needed: bytes that are being written, where that is known.

    Raises:
      DiskFullError: instead of the error of the operating system, or of safetensors.
    """
    try:
        yield
    except DiskFullError:
        raise
    except (OSError, SafetensorError) as error:
        if (number := _error_number(error)) not in FULL:
            raise
        folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
        wanted = "" if needed is None else f"{path.name} needs {_size(needed)} and "
        reason = {errno.EDQUOT: "the quota is used up", errno.EFBIG: "the file size limit (ulimit -f) is reached"}
        full = DiskFullError(
            f"no room in {folder}: {wanted}{_size(shutil.disk_usage(folder).free)} are free on its disk"
            f"{f' ({reason[number]})' if number in reason else ''}. Nothing that was finished is lost: make room, and "
            "the same command goes on from there"
        )
        full.errno = number
        raise full from error


def _error_number(error: Exception) -> int | None:
    """Of an error of the operating system; safetensors says its number in words alone."""
    if isinstance(error, OSError):
        return error.errno
    return next((number for number in FULL if f"(os error {number})" in str(error)), None)


def _size(count: int) -> str:
    power = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count / 1024**power:.3g} {_UNITS[power]}" if power else f"{count} bytes"
