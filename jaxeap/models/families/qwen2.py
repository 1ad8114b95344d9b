"""Qwen2 and Qwen2.5: biases on queries, keys and values; a sliding window on the upper layers where switched on."""

from __future__ import annotations

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.layer_types import read_slides
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules


def read_windows(reader: ConfigReader, layers: int) -> tuple[int | None, ...]:
    """Layers from `max_window_layers` on slide where `use_sliding_window` says so; `layer_types` overrules both."""
    window = reader.get("sliding_window") if reader.mentions("sliding_window") else 4096  # as in transformers
    switched_on = reader.get("use_sliding_window", False)
    first = reader.get("max_window_layers", 28)
    slides = [bool(switched_on) and window is not None and layer >= first for layer in range(layers)]
    slides = read_slides(reader, slides)
    if any(slides) and (window is None or not switched_on):
        raise reader.unsupported(
            "layer_types", reader.get("layer_types"), "they slide, but use_sliding_window or sliding_window is off"
        )
    return tuple(window if slide else None for slide in slides)


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `Qwen2Config`."""
    reader.expect("use_mrope", False)
    windows = read_windows(reader, reader.require("num_hidden_layers"))
    return read_shape(reader, windows=windows, qkv_bias=True)


QWEN2 = Family("qwen2", read_config, tensor_rules, ignored_tensors=ROTARY_BUFFERS)
