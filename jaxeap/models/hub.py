"""Models by their name on the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub

PATTERNS = ("*.json", "*.safetensors", "*.jinja", "merges.txt", "tokenizer.model")
"""Configuration, weights and tokenizer. Pickled weights and code are never fetched."""
HUB = "hub:"
"""Begins what is on the Hub and no path."""
NAME = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"


def local_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder `source`; or, where there is none and `source` reads "owner/name", a snapshot of that model.

    Args:
      source: a folder or the name of a model on the Hub.
      revision: branch, tag or commit on the Hub; None is its main branch.

    Raises:
      FileNotFoundError: there is no such folder, and the model could not be fetched; the message says what to copy.
      ValueError: a revision was given with a folder, which has none.
    """
    if Path(source).exists():
        if revision is not None:
            raise ValueError(f"revision {revision!r} was given, but {source} is a local folder, which has no revisions")
        return Path(source)
    if not re.fullmatch(NAME, str(source)):
        raise FileNotFoundError(f"source folder {source} does not exist")
    return snapshot(str(source), revision)


def hub_name(source: str) -> tuple[str, str | None] | None:
    """The name and revision in "hub:owner/name@revision" (or without "@revision"); None where `source` is a path.

    Raises:
      ValueError: it begins with "hub:", and no name of a model follows.
    """
    if not source.startswith(HUB):
        return None
    name, at, revision = source.removeprefix(HUB).partition("@")
    if not re.fullmatch(NAME, name) or (at and not revision):
        raise ValueError(f"{source!r} is no model on the Hub; write {HUB}owner/name or {HUB}owner/name@revision")
    return name, revision or None


def snapshot(name: str, revision: str | None = None, patterns: Sequence[str] = PATTERNS) -> Path:
    """The folder that holds the model `name` of the Hub, fetched or, where nothing is new, from this machine's cache.

    Args:
      name: "owner/name".
      revision: branch, tag or commit; None is the main branch.
      patterns: the files that are wanted.

    Raises:
      FileNotFoundError: it could not be fetched and is not in the cache; the message says what to do.
    """
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except Exception as error:  # no connection, no such model, no such revision, no permission: one class each
        wanted = f"{name} --revision {revision}" if revision else name
        folder = name.replace("/", "--")
        raise FileNotFoundError(
            f"{name} is no folder here, and it could not be fetched from the Hugging Face Hub "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}). On a machine "
            f"with a connection run `hf download {wanted} --local-dir {folder}`, copy config.json, *.safetensors, "
            f"model.safetensors.index.json and the tokenizer files in {folder} to a folder here, and name that folder"
        ) from error
