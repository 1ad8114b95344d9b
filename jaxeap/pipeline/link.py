"""Finished stages of other work directories, taken over where they are what this run would make."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxeap.pipeline.stage import Manifest, damaged_files, read_manifest
from jaxeap.pipeline.storage.artifacts import files_below


def link_finished(expected: Mapping[str, Manifest], workdir: Path, siblings: Sequence[Path]) -> list[str]:
    """Gives `workdir` the stages that it lacks and a sibling has finished; returns their names.

    Fingerprints decide, so a stage is taken over only if settings, files and earlier stages were the same. Files are
    hard links, or copies where the file system has none: every stage writes under another name and renames, so nothing
    is ever changed under the other work directory.

    Args:
      expected: the manifest that each stage of the run is to have, by name.
      workdir: of the run.
      siblings: other work directories, the first that fits is taken.
    """
    linked = []
    for name, manifest in expected.items():
        if (workdir / name).exists():
            continue
        if (source := next((s / name for s in siblings if _finished(s / name, manifest)), None)) is not None:
            _link(source, workdir / name)
            linked.append(name)
    return linked


def _finished(folder: Path, expected: Manifest) -> bool:
    found = read_manifest(folder)
    if found is None or not found.complete or found.fingerprint != expected.fingerprint:
        return False
    return not damaged_files(found, folder)


def _link(source: Path, target: Path) -> None:
    """All files of a folder or, after an interruption, no folder at all: it gets its name in the end."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for path in files_below(source):
        place = partial / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            shutil.copy2(path, place)
    partial.rename(target)
