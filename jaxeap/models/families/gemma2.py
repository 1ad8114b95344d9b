"""Gemma 2: soft caps on attention and logits, a window on every second layer."""

from __future__ import annotations

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.gemma_like import gemma_tensor_rules, read_gemma
from jaxeap.models.families.rope_parameters import read_rope

IGNORED = frozenset({"cache_implementation"})


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `Gemma2Config`."""
    slides = [layer % 2 == 0 for layer in range(reader.require("num_hidden_layers"))]
    return read_gemma(reader, slides, rope=read_rope(reader), softcaps=(50.0, 30.0))


GEMMA2 = Family("gemma2", read_config, gemma_tensor_rules, ignored=IGNORED)
