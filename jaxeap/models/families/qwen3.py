"""Qwen3: Qwen2 without biases unless the file says so, with a norm over each query and key head."""

from __future__ import annotations

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules
from jaxeap.models.families.qwen2 import read_windows


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `Qwen3Config`; heads are 128 wide where it does not say, as in transformers."""
    bias = bool(reader.get("attention_bias", False))
    windows = read_windows(reader, reader.require("num_hidden_layers"))
    return read_shape(reader, windows=windows, qkv_bias=bias, output_bias=bias, query_key_norm="head", head_dim=128)


QWEN3 = Family("qwen3", read_config, tensor_rules, ignored_tensors=ROTARY_BUFFERS)
