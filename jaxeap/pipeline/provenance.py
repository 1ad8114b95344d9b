"""What a run was made of, by hashes: settings, models, questions, answers, tokens, code; for its manifest and page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxeap.pipeline.stage import read_manifest
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.pipeline.storage.fingerprint import fingerprint

RUN_MANIFEST = "manifest.json"
MODELS = {"base": "base model (configuration, weights, tokenizer)", "tuned": "tuned model (likewise)"}
FILES = {
    "answers of base": ("respond", "base.jsonl"),
    "answers of tuned": ("respond", "tuned.jsonl"),
    "tokens that were scored": ("select", "selection.json"),
}
"""Name -> stage and its file."""


def hashes_of(stages: Mapping[str, Path]) -> dict[str, str]:
    """Hashes of all that decided over the results of these stages, whose folders are given by name.

    Where stages were made by different states of the code, each state is named with its stages.
    """
    manifests = {name: found for name, folder in stages.items() if (found := read_manifest(folder)) is not None}
    settings: dict[str, Any] = {}
    made_by: dict[str, list[str]] = {}
    for name, manifest in manifests.items():
        settings |= manifest.settings
        for code in manifest.code:
            made_by.setdefault(code, []).append(name)
    hashes = {name: settings[key] for key, name in MODELS.items() if key in settings}
    for name, (stage, file) in FILES.items():
        if stage in manifests and file in manifests[stage].files:
            hashes[name] = manifests[stage].files[file]
    hashes["settings"] = fingerprint(settings)
    several = len(made_by) > 1
    return hashes | {f"code ({', '.join(names)})" if several else "code": code for code, names in made_by.items()}


def write_run_manifest(workdir: Path, stages: Mapping[str, Path]) -> None:
    """Writes manifest.json: `hashes_of` the run, and each stage's fingerprint and files with their hashes.

    Nothing in it tells when or how long, so runs that found the same write the same. A manifest that is as it should
    be is not touched.
    """
    manifests = {name: found for name, folder in stages.items() if (found := read_manifest(folder)) is not None}
    content = {
        "hashes": hashes_of(stages),
        "stages": {
            name: {"fingerprint": manifest.fingerprint, "code": manifest.code, "files": manifest.files}
            for name, manifest in manifests.items()
        },
    }
    path = workdir / RUN_MANIFEST
    try:
        if read_json(path) == content:
            return
    except (FileNotFoundError, ValueError):  # none yet, or damaged
        pass
    write_json(path, content)
