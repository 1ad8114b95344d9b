"""Models by their name on the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

import huggingface_hub

PATTERNS = ("*.json", "*.safetensors", "*.jinja", "merges.txt", "tokenizer.model")
"""Configuration, weights and tokenizer. Pickled weights and code are never fetched."""


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
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", str(source)):
        raise FileNotFoundError(f"source folder {source} does not exist")
    try:
        return Path(huggingface_hub.snapshot_download(str(source), revision=revision, allow_patterns=list(PATTERNS)))
    except Exception as error:  # no connection, no such model, no such revision, no permission: one class each
        wanted = f"{source} --revision {revision}" if revision else str(source)
        folder = str(source).replace("/", "--")
        raise FileNotFoundError(
            f"{source} is no folder here, and it could not be fetched from the Hugging Face Hub "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}). On a machine "
            f"with a connection run `hf download {wanted} --local-dir {folder}`, copy config.json, *.safetensors, "
            f"model.safetensors.index.json and the tokenizer files in {folder} to a folder here, and name that folder"
        ) from error
