"""A Hugging Face folder of safetensors, single-file or sharded with an index, read tensor by tensor without torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies: the file, its shape, and its dtype as safetensors writes it ("F32", "BF16", ...)."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


def list_tensors(folder: str | Path) -> dict[str, StoredTensor]:
    """Every tensor of the checkpoint in `folder`, from the files' headers alone.

    Raises:
      FileNotFoundError: there are no safetensors, or the index names a file that is missing.
      ValueError: a file is truncated or corrupt, holds a tensor twice, or does not hold what the index says; all such
        findings are in one message.
    """
    folder = Path(folder)
    index_path, single = folder / INDEX_FILE, folder / SINGLE_FILE
    if index_path.is_file():
        indexed: Mapping[str, str] = json.loads(index_path.read_text())["weight_map"]
        files = sorted({folder / Path(name).name for name in indexed.values()})
    elif single.is_file():
        indexed, files = {}, [single]
    else:
        remedy = ""
        if list(folder.glob("pytorch_model*.bin")):
            remedy = (
                "; pytorch_model.bin is a pickle, which jaxeap does not open: load it with transformers and save it "
                "again with save_pretrained(folder, safe_serialization=True)"
            )
        raise FileNotFoundError(f"{folder} holds neither {SINGLE_FILE} nor {INDEX_FILE}{remedy}")
    if missing := [str(file) for file in files if not file.is_file()]:
        raise FileNotFoundError(f"{index_path} names files that are missing: {', '.join(missing)}; download them again")

    tensors: dict[str, StoredTensor] = {}
    problems = []
    for file in files:
        try:
            with safe_open(file, framework="np") as opened:
                for name in opened.keys():  # noqa: SIM118 (safe_open is no mapping)
                    stored = opened.get_slice(name)
                    if name in tensors:
                        problems.append(f"{name} lies in both {tensors[name].file.name} and {file.name}")
                    tensors[name] = StoredTensor(file, tuple(stored.get_shape()), stored.get_dtype())
        except SafetensorError as error:
            problems.append(f"{file} is truncated or corrupt ({error}); download it again")
    for name, file_name in indexed.items():
        if not problems and (name not in tensors or tensors[name].file.name != Path(file_name).name):
            problems.append(f"{INDEX_FILE} says that {name} lies in {file_name}, and it does not")
    if problems:
        raise ValueError(f"{folder}: " + "; ".join(problems))
    return tensors


def read_tensor(name: str, stored: StoredTensor) -> np.ndarray:
    """One tensor in its stored dtype (bfloat16 as `ml_dtypes.bfloat16`)."""
    with safe_open(stored.file, framework="np") as opened:
        return opened.get_tensor(name)
