"""What a stage's result depends on, as one hash: settings by value, models and question files by content.

Files are identified by what is in them and not by where they stand, so that a moved or copied model is the same model,
and one that was trained further in place is another. Every byte is hashed; what was hashed is remembered by path, size
and modification time, so that the next run does not read 15 GB of weights again to find that nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from jaxeap.models.hub import HUB
from jaxeap.pipeline.settings import GENERATED_QUESTIONS, HUB_QUESTIONS
from jaxeap.pipeline.storage.artifacts import sha256

KnownHashes = MutableMapping[str, tuple[int, int, str]]
"""Absolute path -> (size in bytes, modification time in ns, hash of the content)."""

MODEL_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""What is read of a model folder, besides a converted checkpoint's `parameters`; README and pickles are not."""


def fingerprint(content: Mapping[str, Any]) -> str:
    """Hash of anything that JSON can say, whatever the order of its keys."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def model_identity(folder: str | Path, known: KnownHashes, adapted: str | Path | None = None) -> str:
    """Hash of a model folder's configuration, weights and tokenizer; `known` is looked into and added to.

    Args:
      folder: of the model, or of a LoRA adapter.
      known: hashes of before.
      adapted: folder of the model that the adapter was trained on, which is hashed too; None where it is none.

    Raises:
      FileNotFoundError: there is no such folder, or no config.json in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"model folder {folder} does not exist; give a folder as config.base or config.tuned")
    if adapted is None and not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no config.json, so it is no model folder")
    hashes = {str(path.relative_to(folder)): content_hash(path, known) for path in _model_files(folder)}
    return fingerprint(hashes if adapted is None else hashes | {"adapted model": model_identity(adapted, known)})


def questions_identity(source: str, known: KnownHashes) -> str:
    """Hash of a file of questions, or the name of generated ones or of a set from the Hub, whose commit is a setting.

    Raises:
      FileNotFoundError: there is no such file.
    """
    if source in GENERATED_QUESTIONS or source.startswith(HUB):
        return source
    if not Path(source).is_file():
        others = ", ".join((*GENERATED_QUESTIONS, *HUB_QUESTIONS))
        raise FileNotFoundError(f"{source}: no such file of questions (JSON lines), and not one of {others}")
    return content_hash(Path(source), known)


def run_identity(workdir: str | Path, known: KnownHashes) -> str:
    """Hash of what another run found.

    Raises:
      FileNotFoundError: the folder holds no metrics.json, so it is no finished run.
    """
    path = Path(workdir) / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"config.controls.null_run: {path} does not exist; give the folder of a finished run")
    return content_hash(path, known)


def content_hash(path: Path, known: KnownHashes) -> str:
    """Hash of a file's content, taken from `known` where size and modification time are as they were."""
    path = path.resolve()
    stat = path.stat()
    if (entry := known.get(str(path))) is None or tuple(entry[:2]) != (stat.st_size, stat.st_mtime_ns):
        entry = known[str(path)] = (stat.st_size, stat.st_mtime_ns, sha256(path))
    return entry[2]


def _model_files(folder: Path) -> Iterator[Path]:
    for pattern in MODEL_FILES:
        yield from sorted(path for path in folder.glob(pattern) if path.is_file())
    yield from sorted(path for path in (folder / "parameters").rglob("*") if path.is_file())
