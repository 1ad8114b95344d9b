"""A Hugging Face checkpoint, opened: whatever form it has, a configuration and tensors to read; or a refusal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import read_model_config
from jaxeap.models.lora import ADAPTER_CONFIG, adapted, base_folder, is_adapter
from jaxeap.models.manifest import MANIFEST
from jaxeap.models.safetensors_folder import StoredTensor, list_tensors


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a folder (and its base's, for an adapter) holds, without any weight in memory.

    Attributes:
      config: the decoder's shape.
      tensors: name -> where it lies, with the adapter's update where it has one.
      folders: with the model itself first and its adapter, where there is one, second.
    """

    config: ModelConfig
    tensors: Mapping[str, StoredTensor]
    folders: tuple[Path, ...]


def open_checkpoint(folder: Path, base: str | Path | None = None) -> Checkpoint:
    """Opens a Hugging Face folder, or a PEFT adapter with its base.

    Args:
      folder: of a model or an adapter.
      base: folder of the adapter's base model; None takes what the adapter names.

    Raises:
      FileNotFoundError: a file or the adapter's base is missing.
      ValueError: the configuration, the tensors or the adapter are not what jaxeap knows; the message names each.
    """
    if not is_adapter(folder):
        if base is not None:
            raise ValueError(f"base {base} was given, but {folder} is no adapter ({ADAPTER_CONFIG} is not there)")
        return Checkpoint(_config(folder), list_tensors(folder), (folder,))
    base = base_folder(folder, base)
    if (base / MANIFEST).is_file():
        raise ValueError(
            f"base {base} is a converted checkpoint, and adapters are merged into safetensors: give the Hugging Face "
            "folder as base, or convert the adapter itself (checkpoint_convert --source=ADAPTER --base=FOLDER)"
        )
    if is_adapter(base):
        raise ValueError(f"base {base} is an adapter itself; merge it with its own base first (checkpoint_convert)")
    config = _config(base)
    tensors = adapted(list_tensors(base), folder, config.tied_embeddings)
    return Checkpoint(config, tensors, (base, folder))


def _config(folder: Path) -> ModelConfig:
    _refuse_quantised(folder / "config.json")
    return read_model_config(folder)


def _refuse_quantised(path: Path) -> None:
    """Before the configuration is read, where it would be one unknown attribute among others."""
    try:
        attributes = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return  # for `read_model_config` to tell
    for name in ("quantization_config", "compression_config"):
        if isinstance(attributes, dict) and attributes.get(name):
            method = dict(attributes[name]).get("quant_method", "no method named")
            raise ValueError(
                f"{path}: {name} says that the weights are quantised ({method}), and jaxeap scores the weights as they "
                "were trained: take the unquantised checkpoint, or load this one with transformers, call "
                "model.dequantize() and save it with save_pretrained(folder)"
            )
