"""The manifest of a converted checkpoint: what it holds and, since it is written last, the mark that it is whole."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

MANIFEST = "jaxeap_checkpoint.json"
PARAMETERS = "parameters"
FORMAT = 1
"""Goes up when older code could no longer read what newer code writes."""


@dataclasses.dataclass(frozen=True)
class ManifestEntry:
    """One parameter of a converted checkpoint.

    Attributes:
      shape: as in `parameter_specs`, with the layer axis.
      dtype: stored, such as "bfloat16".
      source: the tensor's name in the Hugging Face checkpoint; `{layer}` stands for the layer's number.
    """

    shape: tuple[int, ...]
    dtype: str
    source: str


def parameter_folder(folder: Path, name: str) -> Path:
    """Where a converted checkpoint keeps the parameter with path `name`: an Orbax checkpoint {"array": ...} each."""
    return folder / PARAMETERS / name.replace("/", ".")


def write_manifest(folder: Path, entries: Mapping[str, ManifestEntry]) -> None:
    """Declares `folder` to hold `entries` (path -> entry), whole and final."""
    content = {"format": FORMAT, "parameters": {name: dataclasses.asdict(entry) for name, entry in entries.items()}}
    temporary = folder / f"{MANIFEST}.partial"
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> dict[str, ManifestEntry]:
    """Path of each parameter that the converted checkpoint in `folder` holds -> its entry.

    Raises:
      ValueError: the manifest is damaged, or of another format than this code reads.
    """
    path = folder / MANIFEST
    remedy = "convert the checkpoint again"
    try:
        content = json.loads(path.read_text())
        if content["format"] == FORMAT:
            return {
                name: ManifestEntry(tuple(entry["shape"]), entry["dtype"], entry["source"])
                for name, entry in content["parameters"].items()
            }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}); {remedy}") from error
    raise ValueError(f"{path} has format {content['format']}, this version reads format {FORMAT}; {remedy}")
