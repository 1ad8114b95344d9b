"""Llama: every layer sees all positions, no biases unless the file says so."""

from __future__ import annotations

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `LlamaConfig`."""
    bias = bool(reader.get("attention_bias", False))
    mlp_bias = bool(reader.get("mlp_bias", False))
    layers = reader.require("num_hidden_layers")
    return read_shape(reader, windows=(None,) * layers, qkv_bias=bias, output_bias=bias, mlp_bias=mlp_bias)


IGNORED = frozenset({"moe_intermediate_size"})
"""DeepSeek-Math's files carry it beside model_type llama, which has no experts."""

LLAMA = Family("llama", read_config, tensor_rules, ignored=IGNORED, ignored_tensors=ROTARY_BUFFERS)
