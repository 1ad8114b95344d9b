"""Tiny random Hugging Face checkpoints, spelled out by hand: names and shapes owe nothing to the code under test.

No two axes have the same size, so that a transposed or mixed-up axis cannot fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

COMMON = {
    "vocab_size": 31,
    "hidden_size": 20,
    "intermediate_size": 28,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 500.0,
    "tie_word_embeddings": False,
}
SPECIFIC: Mapping[str, Mapping[str, Any]] = {
    "gemma2": {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 3},
    "gemma3_text": {"hidden_act": "gelu_pytorch_tanh", "sliding_window": 3},
    "llama": {"attention_bias": False, "mlp_bias": False},
    "mistral": {"sliding_window": 3},
    "olmo2": {"attention_bias": False},
    "mixtral": {"num_local_experts": 5, "num_experts_per_tok": 2},
    "phi3": {"resid_pdrop": 0.0, "original_max_position_embeddings": 16, "partial_rotary_factor": 0.5},
    "smollm3": {"no_rope_layers": [1, 0, 1]},
    "qwen3": {"attention_bias": False},
    "qwen3_moe": {"num_experts": 5, "num_experts_per_tok": 3, "moe_intermediate_size": 14, "norm_topk_prob": True},
    "qwen2": {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 2, "tie_word_embeddings": True},
}


GPT2 = {"n_embd": 20, "n_head": 5, "n_layer": 3, "n_positions": 17, "n_inner": 28, "vocab_size": 31}
GPT_NEOX = {
    "vocab_size": 31,
    "hidden_size": 20,
    "intermediate_size": 28,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "rotary_emb_base": 500.0,
    "rotary_pct": 0.5,
}
"""These two spell nothing as the others do."""


def attributes_of(model_type: str, **changes: Any) -> dict[str, Any]:
    """The content of a config.json."""
    if model_type in ("gpt2", "gpt_neox"):
        return {"model_type": model_type, **(GPT2 if model_type == "gpt2" else GPT_NEOX), **changes}
    return {"model_type": model_type, **COMMON, **SPECIFIC[model_type], **changes}


def tensors_of(attributes: Mapping[str, Any], seed: int = 0, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """Random tensors under Hugging Face's names; biases and norms are far from their neutral values."""
    rng = np.random.default_rng(seed)
    width, inner, vocab = (attributes[name] for name in ("hidden_size", "intermediate_size", "vocab_size"))
    queries = attributes["num_attention_heads"] * attributes["head_dim"]
    keys = attributes["num_key_value_heads"] * attributes["head_dim"]

    def linear(outputs: int, inputs: int) -> np.ndarray:
        return rng.normal(size=(outputs, inputs)) / np.sqrt(inputs)

    tensors = {
        "model.embed_tokens.weight": rng.normal(size=(vocab, width)),
        "model.norm.weight": 1 + 0.25 * rng.normal(size=width),
    }
    if not attributes["tie_word_embeddings"]:
        tensors["lm_head.weight"] = linear(vocab, width)
    for layer in range(attributes["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        tensors |= {
            prefix + "input_layernorm.weight": 1 + 0.25 * rng.normal(size=width),
            prefix + "self_attn.q_proj.weight": 2 * linear(queries, width),
            prefix + "self_attn.k_proj.weight": 2 * linear(keys, width),
            prefix + "self_attn.v_proj.weight": linear(keys, width),
            prefix + "self_attn.o_proj.weight": linear(width, queries),
            prefix + "post_attention_layernorm.weight": 1 + 0.25 * rng.normal(size=width),
        }
        if attributes["model_type"] == "mixtral":
            block = prefix + "block_sparse_moe."
            tensors[block + "gate.weight"] = linear(attributes["num_local_experts"], width)
            for expert in range(attributes["num_local_experts"]):
                tensors |= {
                    f"{block}experts.{expert}.w1.weight": linear(inner, width),
                    f"{block}experts.{expert}.w2.weight": linear(width, inner),
                    f"{block}experts.{expert}.w3.weight": linear(inner, width),
                }
        else:
            tensors |= {
                prefix + "mlp.gate_proj.weight": linear(inner, width),
                prefix + "mlp.up_proj.weight": linear(inner, width),
                prefix + "mlp.down_proj.weight": linear(width, inner),
            }
        if attributes["model_type"] == "qwen2":
            tensors |= {
                prefix + "self_attn.q_proj.bias": 0.5 * rng.normal(size=queries),
                prefix + "self_attn.k_proj.bias": 0.5 * rng.normal(size=keys),
                prefix + "self_attn.v_proj.bias": 0.5 * rng.normal(size=keys),
            }
    return {name: np.asarray(tensor, dtype) for name, tensor in tensors.items()}


def write_checkpoint(
    folder: Path, attributes: Mapping[str, Any], tensors: Mapping[str, np.ndarray], shards: int = 1
) -> Path:
    """Writes config.json and the tensors: into one file, or dealt out to `shards` files with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(attributes))
    # safetensors writes the memory as it lies, so the arrays must be contiguous.
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return folder
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        names = sorted(tensors)[shard::shards]
        save_file({name: tensors[name] for name in names}, folder / file)
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder
