"""Files of a work directory: each is written under a temporary name and renamed, so it is there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from jaxeap.tasks.jsonl import replacing

METADATA = "jaxeap"
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
    """Writes a safetensors file with `metadata` (of JSON's types) in its header; equal content gives equal bytes."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        # Under one key: safetensors writes several in an order that changes from call to call.
        save_file(contiguous, temporary, metadata={METADATA: json.dumps(dict(metadata))})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `write_tensors` wrote: tensors and metadata.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with _damage_named(path), safe_open(path, framework="np") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}, _metadata(opened)  # noqa: SIM118


def read_tensor_metadata(path: Path) -> dict[str, Any]:
    """The metadata alone, without reading a tensor; errors as of `read_tensors`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with _damage_named(path), safe_open(path, framework="np") as opened:
        return _metadata(opened)


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
    """Deletes temporary files that a killed run left behind."""
    for folder in folders:
        for path in folder.rglob(".*"):
            if path.suffix in UNFINISHED_SUFFIXES:
                path.unlink()


def _metadata(opened: Any) -> dict[str, Any]:
    return json.loads((opened.metadata() or {}).get(METADATA, "{}"))


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
