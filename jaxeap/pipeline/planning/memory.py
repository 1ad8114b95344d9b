"""Bytes and operations of scoring, from the functions themselves."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from jaxeap.attribution.attribute import METHODS
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import automatic_chunk, contract
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.interventions import Ablation, Deltas
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


NOT_TRACED = ("exact",)
"""Methods that run programs one after another, how many and which depending on what is asked."""


@dataclasses.dataclass(frozen=True)
class Scoring:
    """A batch that is scored, by its sizes.

    Attributes:
      config: the decoder's shape.
      dtype: of its weights.
      method, level, ablation: as of `attribute`.
      rows: examples.
      length: padded tokens of each.
      width: of them that are counted at most.
      options: of the method; None for its defaults.
    """

    config: ModelConfig
    dtype: str
    method: str
    level: Level
    ablation: Ablation
    rows: int
    length: int
    width: int
    options: Any = None

    @property
    def weights(self) -> Weights:
        """Abstract ones."""
        return abstract_weights(self.config, jnp.dtype(self.dtype))

    @property
    def batch(self) -> Batch:
        """An abstract one."""
        return abstract_batch(self.rows, self.length, self.width, corrupted=self.ablation == "corrupted")

    def called(self, function: Callable[..., Any], weights: Weights, batch: Batch, slices: int = 1) -> Any:
        """`function`, the method's own or its `lower`, given what `attribute` gives it; a mean's costs are as of zeros.

        Args:
          function: of the method.
          weights: of the decoder.
          batch: of the sizes.
          slices: devices over which the contraction's width is cut.
        """
        ablation = "zero" if self.ablation == "mean" else self.ablation
        options = METHODS[self.method].options() if self.options is None else self.options
        settings = Settings(self.level, ablation, scoring_chunk(self.config, self.level, self.length, slices))
        return function(weights, self.config, batch, None, settings, options)

    def traced(self) -> ClosedJaxpr:
        """The program on one device."""
        function = METHODS[self.method].function
        return traced(functools.partial(self.called, function), self.weights, self.batch)


@functools.cache
def scoring_memory(scoring: Scoring) -> Memory:
    """While a batch is scored."""
    config, level = scoring.config, scoring.level
    graph = EdgeGraph.for_config(config, level)

    def compact(weights: Weights, batch: Batch) -> tuple[Any, ...]:
        trace = run_trace(weights, config, batch, level=level)
        sources = Sources.of(trace.captures)
        attention = sources.attention if level == "block" else sources.heads
        return sources.embedding, attention, sources.mlp, Destinations.of(trace)

    captures = tree_bytes(jax.eval_shape(compact, scoring.weights, scoring.batch))
    scores = 4 * scoring.rows * len(graph.sources) * len(graph.destinations)
    program = scoring.traced()
    working = max(0, peak_bytes(program) - captures - scores)
    parts = {"captures and gradients": captures, "activations": working, "scores": scores}
    return Memory(parts, flops(program), flops(program, precise=True))


@functools.cache
def contraction_bytes(scoring: Scoring) -> int:
    """While captures and gradients, which are there already and not counted, are made into scores; these included."""
    config, level, graph = scoring.config, scoring.level, EdgeGraph.for_config(scoring.config, scoring.level)

    def given(weights: Weights, batch: Batch) -> tuple[Deltas, Destinations]:
        trace = run_trace(weights, config, batch, level=level)
        return Deltas(Sources.of(trace.captures), None), Destinations.of(trace)

    def scores(weights: Weights, deltas: Deltas, destinations: Destinations) -> jax.Array:
        return contract(weights, config, graph, deltas, destinations, scoring_chunk(config, level, scoring.length))

    weights = scoring.weights
    return peak_bytes(traced(scores, weights, *jax.eval_shape(given, weights, scoring.batch)))


@functools.cache
def scoring_flops(scoring: Scoring) -> int | None:
    """Operations of scoring one batch; None for methods in `NOT_TRACED`."""
    return None if scoring.method in NOT_TRACED else flops(scoring.traced())


def scoring_chunk(config: ModelConfig, level: Level, length: int, slices: int = 1) -> int:
    """Positions of an example that are expanded at once, by each of `slices` devices that cut the width."""
    return min(length, automatic_chunk(EdgeGraph.for_config(config, level), config, length, slices=slices))


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
