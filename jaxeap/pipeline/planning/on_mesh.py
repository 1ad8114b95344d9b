"""What one device of a mesh holds, by planning for a decoder as large as its part of the model."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh

from jaxeap.attribution.part import EXPANDING
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import abstract_weights
from jaxeap.parallel.automatic import MeshSizes
from jaxeap.parallel.mesh import AXES
from jaxeap.parallel.sharding import RULES, divided
from jaxeap.pipeline.planning.memory import Memory, Scoring, contraction_bytes, scoring_memory
from jaxeap.pipeline.planning.program import tree_bytes

MOVED = {"cpu": 1, "gpu": 0, "tpu": 3}
"""How many copies of the attention weights, cut by width for the contraction at head level and not by heads, lie on a
device while the backward pass needs most: compilers move them early or late, and change their order once or several
times. As `benchmarks.compile_ahead` finds."""


def part_of_shape(config: ModelConfig, sizes: MeshSizes) -> ModelConfig:
    """A decoder whose arrays are as large as a device's parts of this one's, as the sharding rules cut them.

    The width is that of what is stored of the residual stream. What a layer reads of it is collected over tensor, a
    few arrays of one layer, which are counted too small.
    """
    mesh = AbstractMesh(tuple(sizes[:3]), AXES)

    def part(size: int, axis: str) -> int:
        return size // math.prod(mesh.shape[along] for along in divided(size, RULES.along(axis), mesh))

    heads, kv_heads = part(config.num_heads, "heads"), part(config.num_kv_heads, "kv_heads")
    return dataclasses.replace(
        config,
        embed_dim=part(config.embed_dim, "residual"),
        num_heads=heads if heads % kv_heads == 0 else config.num_heads,
        num_kv_heads=kv_heads,
        mlp_dim=part(config.mlp_dim, "mlp"),
        vocab_size=part(config.vocab_size, "vocab"),
    )


def scoring_memory_on(sizes: MeshSizes, scoring: Scoring) -> Memory:
    """`scoring_memory` of a device of a mesh.

    Args:
      sizes: of the mesh.
      scoring: with the rows of one group of devices that shares out examples with others; its operations are what is
        counted. Held against what compilers for CPUs, TPUs and GPUs say in `benchmarks.compile_ahead`.
    """
    whole = scoring_memory(scoring)
    if sizes.fsdp * sizes.tensor == 1:
        return whole
    config, of_part = scoring.config, part_of_shape(scoring.config, sizes)
    part = scoring_memory(dataclasses.replace(scoring, config=of_part)).parts
    scores = whole.parts["scores"]
    # The contraction has all nodes on every device, and of the width a slice: so it has the scores, and its weights.
    cut_by_width = dataclasses.replace(config, embed_dim=of_part.embed_dim)
    contraction = contraction_bytes(dataclasses.replace(scoring, config=cut_by_width)) - scores
    moved = 0
    if scoring.level == "head" and sizes.tensor > 1:
        layers = abstract_weights(cut_by_width, jnp.dtype(scoring.dtype))["layers"]
        moved = tree_bytes({name: array for name, array in layers.items() if name in EXPANDING})
        moved *= MOVED.get(jax.default_backend(), MOVED["cpu"])
    parts = {**part, "activations": max(part["activations"], contraction) + moved, "scores": scores}
    return Memory(parts, whole.flops, whole.precise_flops)
