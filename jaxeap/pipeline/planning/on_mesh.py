"""What one device of a mesh holds, by planning for a decoder as large as its part of the model."""

from __future__ import annotations

import dataclasses
import math

from jax.sharding import AbstractMesh

from jaxeap.models.config import ModelConfig
from jaxeap.parallel.automatic import MeshSizes
from jaxeap.parallel.mesh import AXES
from jaxeap.parallel.sharding import RULES, divided
from jaxeap.pipeline.planning.memory import Memory, Scoring, scoring_memory


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
    part = scoring_memory(dataclasses.replace(scoring, config=part_of_shape(scoring.config, sizes)))
    # Of the scores, which are complete on every device, a smaller decoder would have fewer.
    return Memory({**part.parts, "scores": whole.parts["scores"]}, whole.flops, whole.precise_flops)
