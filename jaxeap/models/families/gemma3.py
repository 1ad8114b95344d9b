"""Gemma 3, text only: five sliding layers to one that sees all, each kind with its own RoPE base, and q/k-norm."""

from __future__ import annotations

import dataclasses

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.gemma_like import gemma_tensor_rules, read_gemma
from jaxeap.models.families.rope_parameters import read_scaling
from jaxeap.models.rope import RopeConfig

IGNORED = frozenset({"cache_implementation"})
GLOBAL_THETA, LOCAL_THETA = 1_000_000.0, 10_000.0


def read_ropes(reader: ConfigReader) -> tuple[RopeConfig, RopeConfig]:
    """Rotary embedding of the layers that see all, and of those that slide."""
    parameters = reader.get("rope_parameters")
    if parameters is None:
        local = RopeConfig(float(reader.get("rope_local_base_freq", LOCAL_THETA)))
        theta = float(reader.get("rope_theta", GLOBAL_THETA))
        return RopeConfig(theta, read_scaling(reader, reader.get("rope_scaling", {}))), local
    if set(parameters) != {"full_attention", "sliding_attention"}:
        raise reader.unsupported("rope_parameters", parameters, "needs full_attention and sliding_attention")
    for name in ("rope_theta", "rope_local_base_freq", "rope_scaling"):
        if name in reader:
            raise reader.unsupported(name, reader.get(name), "rope_parameters says it already")
    ropes = []
    for kind, default in (("full_attention", GLOBAL_THETA), ("sliding_attention", LOCAL_THETA)):
        described = dict(parameters[kind])
        theta = float(described.pop("rope_theta", default))
        ropes.append(RopeConfig(theta, read_scaling(reader, described)))
    return ropes[0], ropes[1]


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `Gemma3TextConfig`."""
    every = reader.get("sliding_window_pattern", reader.get("_sliding_window_pattern", 6))
    slides = [(layer + 1) % every != 0 for layer in range(reader.require("num_hidden_layers"))]
    everywhere, local = read_ropes(reader)
    config = read_gemma(reader, slides, rope=everywhere, softcaps=(None, None), query_key_norm="head")
    ropes = tuple(everywhere if window is None else local for window in config.windows)
    return dataclasses.replace(config, layer_ropes=ropes)


GEMMA3_TEXT = Family("gemma3_text", read_config, gemma_tensor_rules, ignored=IGNORED)
