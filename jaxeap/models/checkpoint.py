"""A Hugging Face checkpoint, opened: whatever form it has, a configuration and tensors to read; or a refusal."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import FAMILIES, read_model_config
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
        config = _config(folder)
        return Checkpoint(config, _named(list_tensors(folder), config), (folder,))
    base = base_folder(folder, base)
    if (base / MANIFEST).is_file():
        raise ValueError(
            f"base {base} is a converted checkpoint, and adapters are merged into safetensors: give the Hugging Face "
            "folder as base, or convert the adapter itself (checkpoint_convert --source=ADAPTER --base=FOLDER)"
        )
    if is_adapter(base):
        raise ValueError(f"base {base} is an adapter itself; merge it with its own base first (checkpoint_convert)")
    config = _config(base)
    tensors = adapted(_named(list_tensors(base), config), folder, config.tied_embeddings)
    return Checkpoint(config, tensors, (base, folder))


def _named(tensors: Mapping[str, StoredTensor], config: ModelConfig) -> Mapping[str, StoredTensor]:
    """The tensors under the names that the key map has, where they were saved from the bare model."""
    prefix = FAMILIES[config.family].bare_prefix
    if not prefix or any(name.startswith(prefix) for name in tensors):
        return tensors
    return {name if name.startswith("lm_head.") else prefix + name: stored for name, stored in tensors.items()}


def _config(folder: Path) -> ModelConfig:
    _refuse_quantised(folder / "config.json")
    return read_model_config(folder)


def _refuse_quantised(path: Path) -> None:
    """Before the configuration is read, where it would be one unknown attribute among others."""
    try:
        attributes = json.loads(path.read_text())
    except (OSError, ValueError):
        return  # for `read_model_config` to tell
    for name in ("quantization_config", "compression_config"):
        if isinstance(attributes, dict) and attributes.get(name):
            method = dict(attributes[name]).get("quant_method", "no method named")
            raise ValueError(
                f"{path}: {name} says that the weights are quantised ({method}), and jaxeap scores the weights as they "
                "were trained: take the unquantised checkpoint, or load this one with transformers, call "
                "model.dequantize() and save it with save_pretrained(folder)"
            )
