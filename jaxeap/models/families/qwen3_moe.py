"""Qwen3 with a routed feed-forward layer (30B-A3B, 235B-A22B)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family, TensorRule
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules
from jaxeap.models.families.mixtral import EXPERTS, ROUTER_TRAINING, read_experts

IGNORED = ROUTER_TRAINING | {"max_window_layers"}  # transformers slides all layers of this family, or none


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `Qwen3MoeConfig`; every layer must be routed, since layers are run as one stack.

    Raises:
      ValueError: `mlp_only_layers` or `decoder_sparse_step` leave a layer with a plain feed-forward layer.
    """
    for name, routed in (("mlp_only_layers", []), ("decoder_sparse_step", 1)):
        if (value := reader.get(name, routed)) != routed:
            raise reader.unsupported(name, value, f"some layers would not be routed; supported: {routed}")
    bias = bool(reader.get("attention_bias", False))
    window = reader.get("sliding_window") if reader.mentions("sliding_window") else 4096  # as in transformers
    slides = bool(reader.get("use_sliding_window", False))
    experts = read_experts(reader, 128)
    if experts < 1:
        raise reader.unsupported("num_experts", experts, "every layer must have experts; without, the family is qwen3")
    config = read_shape(
        reader,
        windows=(window if slides else None,) * reader.require("num_hidden_layers"),
        qkv_bias=bias,
        output_bias=bias,
        query_key_norm="head",
        num_experts=experts,
        experts_per_token=reader.get("num_experts_per_tok", 8),
        renormalised_routing=bool(reader.get("norm_topk_prob", False)),
    )
    return dataclasses.replace(config, mlp_dim=reader.get("moe_intermediate_size", 768))


def qwen3_moe_tensor_rules(config: ModelConfig) -> Iterable[TensorRule]:
    """Llama's key map with the experts and their router in place of the feed-forward layer."""
    for rule in tensor_rules(config):
        if rule.parameter in EXPERTS:
            yield dataclasses.replace(rule, name=rule.name.replace(".mlp.", ".mlp.experts.{expert}."))
        else:
            yield rule
    yield TensorRule("layers/router", "model.layers.{layer}.mlp.gate.weight", "e d -> d e")


QWEN3_MOE = Family("qwen3_moe", read_config, qwen3_moe_tensor_rules, ignored=IGNORED, ignored_tensors=ROTARY_BUFFERS)
