"""Files of a work directory: each is written under a temporary name and renamed, so it is there whole or not at all.

A killed process, or a machine that loses power, leaves nothing half-written under a final name; a failing disk may. So
a file of tensors holds a checksum of all that is in it, and whoever goes on from one that a run before left reads it
with `intact_tensors`.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jaxeap.pipeline.storage.disk import room_wanted
from jaxeap.tasks.jsonl import put_in_place, replacing

METADATA = "jaxeap"
CHECKSUM = "sha256"
"""Beside the metadata's own keys: the hash of names, types, shapes, bytes and metadata."""
UNFINISHED_SUFFIXES = (".tmp", ".partial")


def write_json(path: Path, content: Any) -> None:
    """Writes indented JSON; NaN and infinity are refused, since JSON has no word for them."""
    with replacing(path) as file:
        json.dump(content, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not JSON; the message names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged, it is no JSON in UTF-8 ({error})") from error


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Writes a safetensors file with `metadata` (of JSON's types) in its header; equal content gives equal bytes.

    Raises:
      DiskFullError: there is no room for it; the message says how much it needs.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    # Under one key: safetensors writes several in an order that changes from call to call.
    header = {METADATA: json.dumps(dict(metadata) | {CHECKSUM: _checksum(contiguous, metadata)})}
    try:
        with room_wanted(path, sum(tensor.nbytes for tensor in contiguous.values())):
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(contiguous, temporary, metadata=header)
            put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_tensors(path: Path, verify: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `write_tensors` wrote: tensors and metadata.

    Args:
      path: of the file.
      verify: whether to compare with the checksum, at the speed of the hash (1 to 2 GB/s); for what no manifest's
        hash vouches for.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with _damage_named(path), safe_open(path, framework="np") as opened:
        metadata = _metadata(opened)
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        stored = metadata.pop(CHECKSUM, None)
    if verify and stored != _checksum(tensors, metadata):
        raise ValueError(f"{path} is damaged (its content is not what its checksum says)")
    return tensors, metadata


def intact_tensors(
    path: Path, say: Callable[[str], None], fits: Callable[[dict[str, np.ndarray], dict[str, Any]], bool]
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """What a run before left in the file; None where there is no file, or one that must be made again and is removed.

    Args:
      path: of the file.
      say: is told, in a line, of a file that was removed.
      fits: whether these tensors and this metadata belong to what is being made.
    """
    if not path.is_file():
        return None
    try:
        tensors, metadata = read_tensors(path, verify=True)
        if not fits(tensors, metadata):
            raise ValueError(f"{path} is not of this run's questions")
    except ValueError as error:
        say(f"{error}; it is removed and what it held is computed again")
        path.unlink()
        return None
    return tensors, metadata


def read_tensor_metadata(path: Path) -> dict[str, Any]:
    """The metadata alone, without reading a tensor; errors as of `read_tensors`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with _damage_named(path), safe_open(path, framework="np") as opened:
        metadata = _metadata(opened)
    metadata.pop(CHECKSUM, None)
    return metadata


def sha256(path: Path) -> str:
    """Hash of a file's content, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_free(folder: Path, suffix: str) -> Path:
    """The path with the lowest number (00000, 00001, ...) that no file in the folder has yet."""
    paths = (folder / f"{number:05d}{suffix}" for number in itertools.count())
    return next(path for path in paths if not path.exists())


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in the folder and its subfolders in a fixed order, hidden ones left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def remove_unfinished(folders: Iterable[Path]) -> None:
    """Deletes temporary files, and folders, that a killed run left anywhere in these."""
    for folder in folders:
        for path in list(folder.rglob(".*")):
            remove_if_unfinished(path)


def remove_if_unfinished(path: Path) -> None:
    """Deletes the file or folder where its name says that it is temporary."""
    if not path.name.startswith(".") or path.suffix not in UNFINISHED_SUFFIXES:
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # It may have gone with its folder.


def _metadata(opened: Any) -> dict[str, Any]:
    return dict(json.loads((opened.metadata() or {}).get(METADATA, "{}")))


def _checksum(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> str:
    found = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype.str} {tensors[name].shape}".encode())
        found.update(tensors[name].reshape(-1).view(np.uint8).data)
    return found.hexdigest()


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, UnicodeDecodeError, json.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
