"""What Llama, Mistral and Qwen2 share: pre-norm blocks, RoPE, grouped-query attention, a gated feed-forward layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, TensorRule
from jaxeap.models.rope import RopeConfig


def read_rope(reader: ConfigReader) -> RopeConfig:
    """Rotary embedding from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before)."""
    parameters = dict(reader.get("rope_parameters", {}))
    scaling = dict(reader.get("rope_scaling", {}))
    theta = reader.get("rope_theta")
    if parameters and scaling and parameters != {**scaling, "rope_theta": parameters.get("rope_theta")}:
        raise reader.unsupported("rope_scaling", scaling, f"it contradicts rope_parameters={parameters!r}")
    in_parameters = parameters.pop("rope_theta", None)
    if theta is not None and in_parameters is not None and theta != in_parameters:
        raise reader.unsupported("rope_theta", theta, f"rope_parameters says {in_parameters!r}")
    described = parameters or scaling
    kind = described.get("rope_type", described.get("type", "default"))
    if kind != "default":
        raise reader.unsupported("rope_type", kind, "supported: 'default'")
    if extra := sorted(set(described) - {"rope_type", "type"}):
        raise reader.unsupported("rope_parameters", extra, "unscaled RoPE has only rope_theta")
    for value in (theta, in_parameters):
        if value is not None:
            return RopeConfig(theta=float(value))
    return RopeConfig()


def read_shape(reader: ConfigReader, **differences: Any) -> ModelConfig:
    """The attributes that these families spell alike; `differences` are what a family adds."""
    heads = reader.require("num_attention_heads")
    width = reader.require("hidden_size")
    head_dim = reader.get("head_dim")
    if head_dim is None:
        if width % heads:
            raise reader.unsupported("hidden_size", width, f"not a multiple of num_attention_heads={heads}")
        head_dim = width // heads
    return ModelConfig(
        family=reader.require("model_type"),
        vocab_size=reader.require("vocab_size"),
        embed_dim=width,
        num_layers=reader.require("num_hidden_layers"),
        num_heads=heads,
        num_kv_heads=reader.get("num_key_value_heads", heads),
        head_dim=head_dim,
        mlp_dim=reader.require("intermediate_size"),
        activation=reader.expect("hidden_act", "silu"),
        norm_epsilon=reader.get("rms_norm_eps", 1e-6),
        rope=read_rope(reader),
        tied_embeddings=bool(reader.get("tie_word_embeddings", False)),
        **differences,
    )


def tensor_rules(config: ModelConfig) -> Iterable[TensorRule]:
    """The key map of these families. Linear weights lie as [outputs, inputs] in the checkpoint."""
    layer = "model.layers.{layer}."
    yield TensorRule("embedding", "model.embed_tokens.weight", "v d -> v d")
    yield TensorRule("layers/attention_norm", layer + "input_layernorm.weight", "d -> d")
    yield TensorRule("layers/query", layer + "self_attn.q_proj.weight", "(h k) d -> d h k")
    yield TensorRule("layers/key", layer + "self_attn.k_proj.weight", "(g k) d -> d g k")
    yield TensorRule("layers/value", layer + "self_attn.v_proj.weight", "(g k) d -> d g k")
    yield TensorRule("layers/output", layer + "self_attn.o_proj.weight", "d (h k) -> h k d")
    if config.qkv_bias:
        yield TensorRule("layers/query_bias", layer + "self_attn.q_proj.bias", "(h k) -> h k")
        yield TensorRule("layers/key_bias", layer + "self_attn.k_proj.bias", "(g k) -> g k")
        yield TensorRule("layers/value_bias", layer + "self_attn.v_proj.bias", "(g k) -> g k")
    yield TensorRule("layers/mlp_norm", layer + "post_attention_layernorm.weight", "d -> d")
    yield TensorRule("layers/gate", layer + "mlp.gate_proj.weight", "f d -> d f")
    yield TensorRule("layers/up", layer + "mlp.up_proj.weight", "f d -> d f")
    yield TensorRule("layers/down", layer + "mlp.down_proj.weight", "d f -> f d")
    yield TensorRule("final_norm", "model.norm.weight", "d -> d")
    if not config.tied_embeddings:
        yield TensorRule("unembedding", "lm_head.weight", "v d -> d v")


ROTARY_BUFFERS = frozenset({"model.layers.{layer}.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"})
"""Derived from the configuration; old checkpoints carry them."""
