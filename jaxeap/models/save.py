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

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import FAMILIES, read_model_config
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.safetensors_folder import SINGLE_FILE

if TYPE_CHECKING:
    import transformers


def save_model(
    model: Decoder, folder: str | Path, tokenizer: transformers.PreTrainedTokenizerBase | None = None
) -> None:
    """Writes config.json and model.safetensors (float32), and with a tokenizer its files and generation_config.json.

    The files are made beside the folder and moved in when all are complete, each taking the place of an older one of
    its name; other files in the folder stay.

    Args:
      model: of any family that this can write: llama, mistral, qwen2.
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


def hugging_face_config(config: ModelConfig) -> dict[str, Any]:
    """The config.json of a decoder, in the spelling that transformers 4 and 5 both read.

    Raises:
      ValueError: its family cannot be written.
    """
    if config.family not in _ATTRIBUTES:
        known = ", ".join(sorted(_ATTRIBUTES))
        raise ValueError(f"cannot write a config.json of family {config.family!r}; known families: {known}")
    assert config.rope is not None, "these families rotate"
    return {
        "model_type": config.family,
        "dtype": "float32",
        "vocab_size": config.vocab_size,
        "hidden_size": config.embed_dim,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": config.activation,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rope.theta,
        "tie_word_embeddings": config.tied_embeddings,
    } | _ATTRIBUTES[config.family](config)


def hugging_face_tensors(model: Decoder) -> dict[str, np.ndarray]:
    """The decoder's parameters as float32, layer by layer under the family's tensor names and in its layout."""
    tensors = {}
    for rule in FAMILIES[model.config.family].tensors(model.config):
        parameter = np.asarray(jax.device_get(_leaf(model.weights, rule.parameter)), np.float32)
        assert parameter.shape == parameter_specs(model.config)[rule.parameter].shape
        parts = parameter.reshape(-1, *parameter.shape[rule.stacked_axes :])
        for name, part in zip(rule.tensor_names(model.config), parts, strict=True):
            # safetensors writes the buffer as it lies, so it must lie in order.
            tensors[name] = np.ascontiguousarray(rule.to_tensor(part, model.config))
    return tensors


def _llama_attributes(config: ModelConfig) -> dict[str, Any]:
    return {"architectures": ["LlamaForCausalLM"], "attention_bias": False, "mlp_bias": False}


def _mistral_attributes(config: ModelConfig) -> dict[str, Any]:
    return {"architectures": ["MistralForCausalLM"], "sliding_window": config.windows[0]}


def _qwen2_attributes(config: ModelConfig) -> dict[str, Any]:
    window = next((window for window in config.windows if window is not None), None)
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "layer_types": ["full_attention" if seen is None else "sliding_attention" for seen in config.windows],
    }


_ATTRIBUTES = {"llama": _llama_attributes, "mistral": _mistral_attributes, "qwen2": _qwen2_attributes}


def _leaf(weights: Any, path: str) -> jax.Array:
    for name in path.split("/"):
        weights = weights[name]
    return weights


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
