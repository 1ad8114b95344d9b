"""Mixtral: Mistral with a routed feed-forward layer, whose experts lie in tensors of their own."""

from __future__ import annotations

from collections.abc import Iterable

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family, TensorRule
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules
from jaxeap.models.families.rope_parameters import read_rope

ROUTER_TRAINING = frozenset({"output_router_logits", "router_aux_loss_coef", "router_jitter_noise"})
"""Of the router's loss and the noise that it is trained with."""
EXPERTS = {"layers/gate": "w1", "layers/up": "w3", "layers/down": "w2"}


def read_experts(reader: ConfigReader, default: int) -> int:
    """How many experts there are: `num_local_experts`, or `num_experts`, as transformers writes either.

    Raises:
      ValueError: the two contradict one another.
    """
    local, total = reader.get("num_local_experts"), reader.get("num_experts")
    if local is not None and total is not None and local != total:
        raise reader.unsupported("num_experts", total, f"num_local_experts says {local}")
    return next(count for count in (local, total, default) if count is not None)


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `MixtralConfig`."""
    layers = reader.require("num_hidden_layers")
    return read_shape(
        reader,
        norm_epsilon=1e-5,
        rope=read_rope(reader, default_theta=1_000_000.0),
        windows=(reader.get("sliding_window"),) * layers,
        qkv_bias=False,
        num_experts=read_experts(reader, 8),
        experts_per_token=reader.get("num_experts_per_tok", 2),
    )


def mixtral_tensor_rules(config: ModelConfig) -> Iterable[TensorRule]:
    """Llama's key map with the experts and their router in place of the feed-forward layer."""
    block = "model.layers.{layer}.block_sparse_moe."
    for rule in tensor_rules(config):
        if rule.parameter in EXPERTS:
            name = f"{block}experts.{{expert}}.{EXPERTS[rule.parameter]}.weight"
            yield TensorRule(rule.parameter, name, rule.layout)
        else:
            yield rule
    yield TensorRule("layers/router", block + "gate.weight", "e d -> d e")


MIXTRAL = Family("mixtral", read_config, mixtral_tensor_rules, ignored=ROUTER_TRAINING, ignored_tensors=ROTARY_BUFFERS)
