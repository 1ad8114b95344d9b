"""Llama: no biases, every layer sees all positions."""

from __future__ import annotations

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `LlamaConfig`."""
    reader.expect("attention_bias", False)
    reader.expect("mlp_bias", False)
    layers = reader.require("num_hidden_layers")
    return read_shape(reader, windows=(None,) * layers, qkv_bias=False)


LLAMA = Family("llama", read_config, tensor_rules, ignored_tensors=ROTARY_BUFFERS)
