"""What Llama and its many heirs share: RMS norms, RoPE, grouped-query attention, a gated feed-forward layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, TensorRule
from jaxeap.models.families.rope_parameters import read_rope
from jaxeap.models.rope import RopeConfig


def read_shape(
    reader: ConfigReader,
    *,
    head_dim: int | None = None,
    activation: str | None = None,
    rope: RopeConfig | None = None,
    norm_epsilon: float = 1e-6,
    tied_embeddings: bool = False,
    **differences: Any,
) -> ModelConfig:
    """The attributes that these families spell alike.

    Args:
      reader: of the config.json.
      head_dim: where the file does not say; None for hidden_size / num_attention_heads.
      activation: of a family that spells it otherwise; None reads "hidden_act", which must be silu.
      rope: of a family that spells it otherwise; None reads it.
      norm_epsilon: where the file does not say.
      tied_embeddings: where the file does not say.
      **differences: what else a family's `ModelConfig` has.
    """
    heads = reader.require("num_attention_heads")
    width = reader.require("hidden_size")
    head_dim = reader.get("head_dim", head_dim)
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
        activation=reader.expect("hidden_act", "silu") if activation is None else activation,
        norm_epsilon=reader.get("rms_norm_eps", norm_epsilon),
        rope=read_rope(reader) if rope is None else rope,
        tied_embeddings=bool(reader.get("tie_word_embeddings", tied_embeddings)),
        **differences,
    )


PRE_NORMS = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
"""Norm of the decoder -> its name in a layer of these families."""


def tensor_rules(config: ModelConfig, norms: Mapping[str, str] = PRE_NORMS) -> Iterable[TensorRule]:
    """The key map of these families. Linear weights lie as [outputs, inputs] in the checkpoint.

    Args:
      config: the decoder's shape.
      norms: the norms over the residual stream's width, as in `PRE_NORMS`.
    """
    layer = "model.layers.{layer}."
    yield TensorRule("embedding", "model.embed_tokens.weight", "v d -> v d")
    for parameter, name in norms.items():
        yield TensorRule(f"layers/{parameter}", f"{layer}{name}.weight", "d -> d")
    yield TensorRule("layers/query", layer + "self_attn.q_proj.weight", "(h k) d -> d h k")
    yield TensorRule("layers/key", layer + "self_attn.k_proj.weight", "(g k) d -> d g k")
    yield TensorRule("layers/value", layer + "self_attn.v_proj.weight", "(g k) d -> d g k")
    yield TensorRule("layers/output", layer + "self_attn.o_proj.weight", "d (h k) -> h k d")
    if config.qkv_bias:
        yield TensorRule("layers/query_bias", layer + "self_attn.q_proj.bias", "(h k) -> h k")
        yield TensorRule("layers/key_bias", layer + "self_attn.k_proj.bias", "(g k) -> g k")
        yield TensorRule("layers/value_bias", layer + "self_attn.v_proj.bias", "(g k) -> g k")
    if config.output_bias:
        yield TensorRule("layers/output_bias", layer + "self_attn.o_proj.bias", "d -> d")
    if config.mlp_bias:
        yield TensorRule("layers/gate_bias", layer + "mlp.gate_proj.bias", "f -> f")
        yield TensorRule("layers/up_bias", layer + "mlp.up_proj.bias", "f -> f")
        yield TensorRule("layers/down_bias", layer + "mlp.down_proj.bias", "d -> d")
    if config.query_key_norm is not None:
        whole = config.query_key_norm == "projection"
        yield TensorRule("layers/query_norm", layer + "self_attn.q_norm.weight", "(h k) -> h k" if whole else "k -> k")
        yield TensorRule("layers/key_norm", layer + "self_attn.k_norm.weight", "(g k) -> g k" if whole else "k -> k")
    yield TensorRule("layers/gate", layer + "mlp.gate_proj.weight", "f d -> d f")
    yield TensorRule("layers/up", layer + "mlp.up_proj.weight", "f d -> d f")
    yield TensorRule("layers/down", layer + "mlp.down_proj.weight", "d f -> f d")
    yield TensorRule("final_norm", "model.norm.weight", "d -> d")
    if not config.tied_embeddings:
        yield TensorRule("unembedding", "lm_head.weight", "v d -> d v")


ROTARY_BUFFERS = frozenset({"model.layers.{layer}.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"})
"""Derived from the configuration; old checkpoints carry them."""
