"""Mistral: Llama with a sliding window on every layer, or none."""

from __future__ import annotations

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `MistralConfig`; `sliding_window: null` means none, and not to mention it means transformers' 4096."""
    window = reader.get("sliding_window") if reader.mentions("sliding_window") else 4096
    layers = reader.require("num_hidden_layers")
    return read_shape(reader, windows=(window,) * layers, qkv_bias=False)


MISTRAL = Family("mistral", read_config, tensor_rules, ignored_tensors=ROTARY_BUFFERS)
