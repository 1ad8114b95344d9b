"""Bytes and operations of scoring, from the functions themselves."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from jaxeap.attribution.attribute import METHODS
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import automatic_chunk
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.interventions import Ablation
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import run_trace
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights, abstract_weights, parameter_specs
from jaxeap.pipeline.planning.program import flops, peak_bytes, traced, tree_bytes


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device at the worst moment, by part, beside the weights.

    Attributes:
      parts: bytes by name; they are there at one time.
      flops: operations of one batch that is scored; those of answering are in `answering_effort`.
      precise_flops: those of them that are float32 at the highest precision.
    """

    parts: Mapping[str, int]
    flops: int = 0
    precise_flops: int = 0

    @property
    def total(self) -> int:
        """Bytes of all parts."""
        return sum(self.parts.values())


def parameter_count(config: ModelConfig) -> int:
    """How many numbers the model's weights are."""
    return sum(math.prod(spec.shape) for spec in parameter_specs(config).values())


@functools.cache
def scoring_memory(
    config: ModelConfig,
    dtype: str,
    method: str,
    level: Level,
    ablation: Ablation,
    rows: int,
    length: int,
    width: int,
    options: Any = None,
) -> Memory:
    """While a batch of `rows` examples of `length` tokens, `width` of them counted, is scored.

    Args:
      options: of the method; its defaults where None is given.
    """
    weights = abstract_weights(config, jnp.dtype(dtype))
    graph = EdgeGraph.for_config(config, level)
    scored, batch = _scoring_program(config, dtype, method, level, ablation, rows, length, width, options)

    def compact(weights: Weights, batch: Batch) -> tuple[Any, ...]:
        trace = run_trace(weights, config, batch, level=level)
        sources = Sources.of(trace.captures)
        attention = sources.attention if level == "block" else sources.heads
        return sources.embedding, attention, sources.mlp, Destinations.of(trace)

    captures = tree_bytes(jax.eval_shape(compact, weights, batch))
    scores = 4 * rows * len(graph.sources) * len(graph.destinations)
    working = max(0, peak_bytes(scored) - captures - scores)
    parts = {"captures and gradients": captures, "activations": working, "scores": scores}
    return Memory(parts, flops(scored), flops(scored, precise=True))


NOT_TRACED = ("exact",)
"""Methods that run programs one after another, how many and which depending on what is asked."""


@functools.cache
def scoring_flops(
    config: ModelConfig,
    dtype: str,
    method: str,
    level: Level,
    ablation: Ablation,
    rows: int,
    length: int,
    width: int,
    options: Any = None,
) -> int | None:
    """Operations of scoring one batch, arguments as of `scoring_memory`; None for methods in `NOT_TRACED`."""
    if method in NOT_TRACED:
        return None
    return flops(_scoring_program(config, dtype, method, level, ablation, rows, length, width, options)[0])


def _scoring_program(
    config: ModelConfig,
    dtype: str,
    method: str,
    level: Level,
    ablation: Ablation,
    rows: int,
    length: int,
    width: int,
    options: Any,
) -> tuple[ClosedJaxpr, Batch]:
    """The program, and the batch that it was traced with; a mean's costs no more than zeros do."""
    ablation = "zero" if ablation == "mean" else ablation
    batch = abstract_batch(rows, length, width, corrupted=ablation == "corrupted")
    settings = Settings(level, ablation, scoring_chunk(config, level, length))
    function, defaults = METHODS[method]
    options = defaults() if options is None else options
    weights = abstract_weights(config, jnp.dtype(dtype))
    return traced(lambda w, batch: function(w, config, batch, None, settings, options), weights, batch), batch


def scoring_chunk(config: ModelConfig, level: Level, length: int) -> int:
    """Positions of an example that are expanded at once."""
    return min(length, automatic_chunk(EdgeGraph.for_config(config, level), config, length))


def chunk_bytes(config: ModelConfig, level: Level, length: int) -> int:
    """Bytes of both sides of one chunk: every source and destination at its positions, float32."""
    return position_bytes(config, level) * scoring_chunk(config, level, length)


def position_bytes(config: ModelConfig, level: Level) -> int:
    """Bytes of both sides of one position, the least that a chunk can be."""
    graph = EdgeGraph.for_config(config, level)
    return 4 * (len(graph.sources) + len(graph.destinations)) * config.embed_dim


def abstract_batch(rows: int, length: int, width: int, corrupted: bool = False) -> Batch:
    """The shapes of a batch, perhaps with corrupted inputs."""

    def of(dtype: Any, *shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype)

    return Batch(
        of(jnp.int32, rows, length),
        of(jnp.bool_, rows, length),
        of(jnp.int32, rows, width),
        of(jnp.bool_, rows, width),
        of(jnp.int32, rows),
        of(jnp.int32, rows, length) if corrupted else None,
    )
