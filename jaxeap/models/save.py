"""`save_model`: a decoder as a Hugging Face folder, which transformers and `load_model` read alike."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import safetensors.numpy

from jaxeap.models.families import FAMILIES, read_model_config
from jaxeap.models.hugging_face_config import hugging_face_config
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.safetensors_folder import SINGLE_FILE
from jaxeap.models.tensor_blocks import put_fused

if TYPE_CHECKING:
    import transformers


def save_model(
    model: Decoder, folder: str | Path, tokenizer: transformers.PreTrainedTokenizerBase | None = None
) -> None:
    """Writes config.json and model.safetensors (float32), and with a tokenizer its files and generation_config.json.

    The files are made beside the folder and moved in when all are complete, each taking the place of an older one of
    its name; other files in the folder stay.

    Args:
      model: of any family.
      folder: is made where it is missing.
      tokenizer: its eos and pad token go into the configurations too.

    Raises:
      ValueError: config.json cannot say what the model's configuration says.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        special = {}
        if tokenizer is not None:
            special = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
            tokenizer.save_pretrained(staging)
            _write_json(staging / "generation_config.json", special)
        _write_json(staging / "config.json", hugging_face_config(model.config) | special)
        if read_model_config(staging) != model.config:
            raise ValueError(f"no config.json of family {model.config.family} describes {model.config}")
        # transformers refuses files that do not name their tensors' framework, and knows no other name for this layout.
        safetensors.numpy.save_file(hugging_face_tensors(model), staging / SINGLE_FILE, metadata={"format": "pt"})
        # safetensors makes files that only their owner may read.
        (staging / SINGLE_FILE).chmod((staging / "config.json").stat().st_mode)
        folder.mkdir(exist_ok=True)
        for file in sorted(staging.iterdir()):
            file.replace(folder / file.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def hugging_face_tensors(model: Decoder) -> dict[str, np.ndarray]:
    """The decoder's parameters as float32, layer by layer under the family's tensor names and in its layout."""
    config, tensors = model.config, dict[str, np.ndarray]()
    for rule in FAMILIES[config.family].tensors(config):
        parameter = np.asarray(jax.device_get(_leaf(model.weights, rule.parameter)), np.float32)
        assert parameter.shape == parameter_specs(config)[rule.parameter].shape
        parts = parameter.reshape(-1, *parameter.shape[rule.stacked_axes :])
        for name, part in zip(rule.tensor_names(config), parts, strict=True):
            if rule.part is not None:
                whole = tensors.setdefault(name, np.empty(rule.tensor_shape(config), np.float32))
                put_fused(rule, config, part, whole)
            else:
                # safetensors writes the buffer as it lies, so it must lie in order.
                tensors[name] = np.ascontiguousarray(rule.to_tensor(part, config))
    return tensors


def _leaf(weights: Any, path: str) -> jax.Array:
    for name in path.split("/"):
        weights = weights[name]
    return weights


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
