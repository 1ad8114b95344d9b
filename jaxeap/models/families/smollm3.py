"""SmolLM3: Llama with every fourth layer left without rotary embedding."""

from __future__ import annotations

import dataclasses

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.layer_types import read_slides
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules
from jaxeap.models.families.rope_parameters import read_rope

IGNORED = frozenset({"max_window_layers"})


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `SmolLM3Config`; `no_rope_layers` has a 1 for each layer that does rotate."""
    layers = reader.require("num_hidden_layers")
    every = reader.get("no_rope_layer_interval", 4)
    rotates = reader.get("no_rope_layers", [int((layer + 1) % every != 0) for layer in range(layers)])
    if len(rotates) < layers or not set(rotates) <= {0, 1}:
        raise reader.unsupported("no_rope_layers", rotates, f"0 or 1 for each of {layers} layers")
    window = reader.get("sliding_window")
    switched_on = bool(reader.get("use_sliding_window", False)) and window is not None
    slides = read_slides(reader, [switched_on and not rotates[layer] for layer in range(layers)])
    if any(slides) and window is None:
        raise reader.unsupported("sliding_window", None, "layers slide, so it must be a number")
    bias = bool(reader.get("attention_bias", False))
    config = read_shape(
        reader,
        rope=read_rope(reader, default_theta=2_000_000.0),
        tied_embeddings=True,
        windows=tuple(window if slide else None for slide in slides),
        qkv_bias=bias,
        output_bias=bias,
        mlp_bias=bool(reader.get("mlp_bias", False)),
    )
    if all(rotates[:layers]):
        return config
    return dataclasses.replace(config, layer_ropes=tuple(config.rope if turns else None for turns in rotates[:layers]))


SMOLLM3 = Family("smollm3", read_config, tensor_rules, ignored=IGNORED, ignored_tensors=ROTARY_BUFFERS)
