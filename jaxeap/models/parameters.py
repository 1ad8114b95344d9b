"""Every parameter of the decoder, declared once: its shape, its logical axes and how it starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.models.config import ModelConfig
from jaxeap.parallel.sharding import constrain_axes

Weights = Mapping[str, Any]
"""Nested mapping of arrays with the names of `parameter_specs`: {"embedding": ..., "layers": {"query": ...}, ...}."""


@dataclasses.dataclass(frozen=True)
class ParameterSpec:
    """One parameter.

    Attributes:
      shape: its shape; parameters of the layers carry a leading layer axis.
      axes: a logical name for each axis, which `jaxeap.parallel` maps to mesh axes.
      init: "normal" (fan-in scaled), "ones" or "zeros".
      fan_in: how many inputs feed one output, for "normal".
    """

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    init: Literal["normal", "ones", "zeros"] = "normal"
    fan_in: int = 1

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.axes):
            raise ValueError(f"shape {self.shape} and axes {self.axes} differ in length")


def parameter_specs(config: ModelConfig) -> dict[str, ParameterSpec]:
    """Path ("layers/query") -> specification of each parameter that `config` calls for."""
    vocab, embed, mlp = config.vocab_size, config.embed_dim, config.mlp_dim
    heads, kv_heads, head = config.num_heads, config.num_kv_heads, config.head_dim

    neutral: Literal["ones", "zeros"] = "zeros" if config.norm == "rms_one_plus" else "ones"
    norm = ParameterSpec((embed,), ("embed",), neutral)

    layer = {
        "query": ParameterSpec((embed, heads, head), ("embed", "heads", "head"), fan_in=embed),
        "key": ParameterSpec((embed, kv_heads, head), ("embed", "kv_heads", "head"), fan_in=embed),
        "value": ParameterSpec((embed, kv_heads, head), ("embed", "kv_heads", "head"), fan_in=embed),
        "output": ParameterSpec((heads, head, embed), ("heads", "head", "embed"), fan_in=heads * head),
        "up": ParameterSpec((embed, mlp), ("embed", "mlp"), fan_in=embed),
        "down": ParameterSpec((mlp, embed), ("mlp", "embed"), fan_in=mlp),
    }
    if config.gated_mlp:
        layer["gate"] = ParameterSpec((embed, mlp), ("embed", "mlp"), fan_in=embed)
    if config.num_experts:
        layer |= {name: _for_each(config.num_experts, "experts", layer[name]) for name in ("gate", "up", "down")}
        layer["router"] = ParameterSpec((embed, config.num_experts), ("embed", "experts"), fan_in=embed)
    if config.qkv_bias:
        layer |= {
            "query_bias": ParameterSpec((heads, head), ("heads", "head"), "zeros"),
            "key_bias": ParameterSpec((kv_heads, head), ("kv_heads", "head"), "zeros"),
            "value_bias": ParameterSpec((kv_heads, head), ("kv_heads", "head"), "zeros"),
        }
    if config.output_bias:
        layer["output_bias"] = ParameterSpec((embed,), ("embed",), "zeros")
    if config.mlp_bias:
        layer |= {"up_bias": ParameterSpec((mlp,), ("mlp",), "zeros")}
        layer |= {"down_bias": ParameterSpec((embed,), ("embed",), "zeros")}
        if config.gated_mlp:
            layer |= {"gate_bias": ParameterSpec((mlp,), ("mlp",), "zeros")}
    if config.pre_norms:
        layer |= {"attention_norm": norm, "mlp_norm": norm}
        if config.norm == "layer":
            bias = ParameterSpec((embed,), ("embed",), "zeros")
            layer |= {"attention_norm_bias": bias, "mlp_norm_bias": bias}
    if config.post_norms:
        layer |= {"attention_post_norm": norm, "mlp_post_norm": norm}
    if config.query_key_norm == "head":
        layer |= {name: ParameterSpec((head,), ("head",), neutral) for name in ("query_norm", "key_norm")}
    if config.query_key_norm == "projection":
        layer |= {
            "query_norm": ParameterSpec((heads, head), ("heads", "head"), neutral),
            "key_norm": ParameterSpec((kv_heads, head), ("kv_heads", "head"), neutral),
        }
    # The draw of a random weight depends on its place in the table, so the common ones keep theirs.
    first = ("attention_norm", "query", "key", "value", "output", "mlp_norm", "gate", "up", "down")
    layer = {name: layer[name] for name in first if name in layer} | layer
    specs = {"embedding": ParameterSpec((vocab, embed), ("vocab", "embed"), fan_in=embed)}
    specs |= {f"layers/{name}": _for_each(config.num_layers, "layers", spec) for name, spec in layer.items()}
    if config.learned_positions:
        specs["positions"] = ParameterSpec((config.learned_positions, embed), ("positions", "embed"), fan_in=embed)
    specs["final_norm"] = norm
    if config.norm == "layer":
        specs["final_norm_bias"] = ParameterSpec((embed,), ("embed",), "zeros")
    if not config.tied_embeddings:
        specs["unembedding"] = ParameterSpec((embed, vocab), ("embed", "vocab"), fan_in=embed)
    return specs


def _for_each(count: int, axis: str, spec: ParameterSpec) -> ParameterSpec:
    return dataclasses.replace(spec, shape=(count, *spec.shape), axes=(axis, *spec.axes))


def parameter_dtype(dtype: Any) -> np.dtype:
    """The dtype that parameters are asked to have.

    Raises:
      ValueError: it is not one that the decoder runs in.
    """
    allowed = tuple(map(jnp.dtype, ("float32", "bfloat16", "float16")))
    try:
        if (parsed := jnp.dtype(dtype)) in allowed:
            return parsed
    except TypeError:
        pass
    raise ValueError(f"dtype {dtype!r} is not one of {', '.join(map(str, allowed))}")


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """{"layers/query": x} -> {"layers": {"query": x}}."""
    nested: dict[str, Any] = {}
    for path, leaf in flat.items():
        *parents, name = path.split("/")
        branch = nested
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[name] = leaf
    return nested


def constrain_layers(weights: Weights, config: ModelConfig) -> Weights:
    """The layers' weights, held where they lie on the entered mesh.

    A program that reads them in another form as well might else move them to that form, and gather them again.
    """
    specs = parameter_specs(config)
    return {name: constrain_axes(array, specs[f"layers/{name}"].axes) for name, array in weights["layers"].items()}


def random_weights(config: ModelConfig, key: jax.Array, dtype: jnp.dtype = jnp.float32) -> Weights:
    """Freshly initialised weights: normal with variance 1 / fan-in, norms one, biases zero.

    Args:
      config: the decoder's shape.
      key: PRNG key; each parameter takes a key of its own, derived from its place in the table.
      dtype: dtype of every array.
    """
    flat = {}
    for index, (path, spec) in enumerate(parameter_specs(config).items()):
        if spec.init == "normal":
            draw = jax.random.normal(jax.random.fold_in(key, index), spec.shape, jnp.float32)
            flat[path] = (draw * spec.fan_in**-0.5).astype(dtype)
        else:
            flat[path] = (jnp.ones if spec.init == "ones" else jnp.zeros)(spec.shape, dtype)
    return nest(flat)


def abstract_weights(config: ModelConfig, dtype: jnp.dtype = jnp.float32) -> Weights:
    """The same tree of `jax.ShapeDtypeStruct`: shapes without memory, for planning and `jax.eval_shape`."""
    return nest({path: jax.ShapeDtypeStruct(spec.shape, dtype) for path, spec in parameter_specs(config).items()})
