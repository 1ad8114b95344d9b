"""Phi-3 and Phi-4: Llama with queries, keys and values in one tensor, gate and up projection in another."""

from __future__ import annotations

from collections.abc import Iterable

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family, TensorRule
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules
from jaxeap.models.families.rope_parameters import read_rope
from jaxeap.models.rope import RopeConfig, inverse_frequencies
from jaxeap.models.rope_scaling import LongRopeScaling

IGNORED = frozenset({"auto_map", "embd_pdrop", "original_max_position_embeddings", "resid_pdrop"})


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `Phi3Config`."""
    reader.expect("attention_bias", False)
    reader.expect("mlp_bias", False)
    layers = reader.require("num_hidden_layers")
    config = read_shape(
        reader,
        norm_epsilon=1e-5,
        rope=read_rope(reader, fraction_name="partial_rotary_factor", original_length=4096),
        windows=(reader.get("sliding_window"),) * layers,
        qkv_bias=False,
    )
    if config.rope is None or (scaling := config.rope.scaling) is None:
        return config
    if not isinstance(scaling, LongRopeScaling):
        raise reader.unsupported("rope_scaling", type(scaling).__name__, "this family has rope_type 'longrope' or none")
    pairs = len(inverse_frequencies(RopeConfig(fraction=config.rope.fraction), config.head_dim))
    if not len(scaling.short_factors) == len(scaling.long_factors) == pairs:
        found = len(scaling.short_factors), len(scaling.long_factors)
        raise reader.unsupported("short_factor, long_factor", found, f"each has {pairs} numbers, one for each pair")
    return config


def phi3_tensor_rules(config: ModelConfig) -> Iterable[TensorRule]:
    """Llama's key map with the fused tensors in place of the single ones.

    The rows of all query heads come before those of the keys and the values, each as wide as G heads: H / G such parts
    for the queries, one for each of the others.
    """
    layer, queries = "model.layers.{layer}.", config.queries_per_kv_head
    qkv, gate_up = layer + "self_attn.qkv_proj.weight", layer + "mlp.gate_up_proj.weight"
    fused = {
        "layers/query": (qkv, "(p g k) d -> d (p g) k", (0, queries, queries + 2)),
        "layers/key": (qkv, "(p g k) d -> d (p g) k", (queries, queries + 1, queries + 2)),
        "layers/value": (qkv, "(p g k) d -> d (p g) k", (queries + 1, queries + 2, queries + 2)),
        "layers/gate": (gate_up, "(p f) d -> d (p f)", (0, 1, 2)),
        "layers/up": (gate_up, "(p f) d -> d (p f)", (1, 2, 2)),
    }
    for rule in tensor_rules(config):
        yield TensorRule(rule.parameter, *fused[rule.parameter]) if rule.parameter in fused else rule


PHI3 = Family("phi3", read_config, phi3_tensor_rules, ignored=IGNORED, ignored_tensors=ROTARY_BUFFERS)
