"""Bytes on a device while answering, and operations and time of it, from the programs that `ContinuousBatch` runs."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr

from jaxeap.models.cache import KVCache, extend
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import unembed
from jaxeap.models.parameters import Weights, abstract_weights
from jaxeap.pipeline.planning.memory import Memory
from jaxeap.pipeline.planning.program import flops, peak_bytes, traced, tree_bytes
from jaxeap.sampling.batching import padded_length
from jaxeap.sampling.continuous import STEPS, prompts_at_once
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.paged_cache import CacheLayout, PagedCache, cache_bytes, cache_layout
from jaxeap.sampling.step import Asked, Drawing, Rows, decode, prefill

DONATED = 2
"""Arrays of the cache: the first results of both programs, which take the places of what was given."""


@dataclasses.dataclass(frozen=True)
class Program:
    """One of the two programs, with abstract arguments: for a plan to trace, or to be compiled and held against it.

    Attributes:
      function: `prefill` or `decode`.
      config: the decoder's shape.
      weights: of it.
      cache: that the function gives back filled.
      arguments: those after the cache.
      options: how tokens are drawn, and what else shapes the program.
    """

    function: Any
    config: ModelConfig
    weights: Weights
    cache: PagedCache
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    def traced(self) -> ClosedJaxpr:
        """As `jaxeap.pipeline.planning.program` reads it."""

        def run(weights: Weights, cache: PagedCache, *arguments: Any) -> Any:
            return self.function(weights, self.config, cache, *arguments, **self.options)

        return traced(run, self.weights, self.cache, *self.arguments)

    def lowered(self) -> Any:
        """For XLA, laid out as weights and cache are."""
        return self.function.lower(self.weights, self.config, self.cache, *self.arguments, **self.options)


@functools.cache
def answering_memory(
    config: ModelConfig, dtype: str, options: SamplingOptions, rows: int, longest_prompt: int
) -> Memory:
    """While `rows` prompts of up to `longest_prompt` tokens are answered.

    Programs are those of the device that plans: on a CPU, attention visits fewer slots at once than on an accelerator.

    Raises:
      ValueError: as of `cache_layout`.
    """
    layout = cache_layout(config, options, rows, longest_prompt)
    reading = prefill_program(config, dtype, options, layout, rows, padded_length(longest_prompt))
    writing = decode_program(config, dtype, options, layout, rows)
    working = max(peak_bytes(program.traced(), in_place=DONATED) for program in (reading, writing))
    return Memory({"key/value cache": tree_bytes(reading.cache), "activations": working})


def prefill_program(
    config: ModelConfig, dtype: str, options: SamplingOptions, layout: CacheLayout, rows: int, length: int
) -> Program:
    """`prefill` of as many prompts of `length` padded tokens as run at once."""
    size = prompts_at_once(length, rows)
    prompts, blocks = (
        (_of(jnp.int32, size, length), _of(jnp.int32, size)),
        _of(jnp.int32, size, -(-length // layout.slots)),
    )
    return _program(prefill, config, dtype, layout, (*prompts, blocks, _asked(size), _key()), drawing=_drawing(options))


def decode_program(
    config: ModelConfig, dtype: str, options: SamplingOptions, layout: CacheLayout, rows: int
) -> Program:
    """`decode` of `rows` rows."""
    numbers = _of(jnp.int32, rows)
    table = None if layout.reserved else _of(jnp.int32, rows, layout.table_width)
    standing = Rows(numbers, numbers, numbers, _of(jnp.bool_, rows))
    return _program(
        decode,
        config,
        dtype,
        layout,
        (table, standing, _asked(rows), _key(), _of(jnp.int32)),
        drawing=_drawing(options),
        stop_tokens=(0,),
        room=min(STEPS, options.max_new_tokens),
        max_new_tokens=options.max_new_tokens,
    )


def _program(
    function: Any, config: ModelConfig, dtype: str, layout: CacheLayout, arguments: tuple[Any, ...], **options: Any
) -> Program:
    weights = abstract_weights(config, jnp.dtype(dtype))
    like: Any = _of(jnp.dtype(dtype))
    cache = jax.eval_shape(lambda: PagedCache.empty(config, layout.blocks, layout.slots, like))
    return Program(function, config, weights, cache, arguments, options)


@functools.cache
def step_flops(config: ModelConfig, dtype: str, rows: int, context: int) -> int:
    """Operations of one more token for each of `rows` rows, `context` tokens of which are attended over.

    Counted on `extend`, which computes the same over slots of a fixed number: how often `decode` goes through its loops
    is known only when it runs. There all rows go through as many chunks as the longest one, so that attention takes the
    more, the more the rows' lengths differ: about twice this where rows of one length began one after another.
    """
    counts = _of(jnp.int32, rows)
    cache = jax.eval_shape(lambda: KVCache.empty(config, rows, context, jnp.dtype(dtype)))

    def step(weights: Weights, tokens: Any, counts: Any, cache: KVCache) -> jax.Array:
        return unembed(weights, config, extend(weights, config, tokens, counts, cache)[0][:, 0])

    weights = abstract_weights(config, jnp.dtype(dtype))
    return flops(traced(step, weights, _of(jnp.int32, rows, 1), counts, cache))


def answering_effort(
    config: ModelConfig,
    dtype: str,
    options: SamplingOptions,
    *,
    answers: int,
    rows: int,
    prompt: float,
    longest_prompt: int,
    length: int,
    weights: int,
    speed: float,
    bandwidth: float,
) -> tuple[float, float]:
    """Operations and seconds of writing `answers` answers of `length` tokens each.

    A program takes as long as its operations, or as reading all weights and, while writing, the part of the cache that
    is filled: a row's prompt and half its answer in the mean. Where the cache holds fewer rows of that size than there
    are, the others wait meanwhile. Not counted are moving them to the host and back, and what rows wait for longer ones
    (see `step_flops`).

    Args:
      config: the decoder's shape.
      dtype: of weights and cache.
      options: of the answers.
      answers: how many.
      rows: written at once.
      prompt: tokens of a prompt in the mean.
      longest_prompt: tokens of the longest one.
      length: tokens of an answer; the first one is drawn where the prompt is read.
      weights: bytes read from memory by every program.
      speed: operations a second.
      bandwidth: bytes a second.
    """
    layout = cache_layout(config, options, rows, longest_prompt)
    padded = padded_length(math.ceil(prompt))
    reading = flops(prefill_program(config, dtype, options, layout, rows, padded).traced())
    readings = answers / prompts_at_once(padded, rows)
    context = math.ceil(prompt + length / 2)
    going = min(rows, layout.tokens / context)
    writing = step_flops(config, dtype, rows, context)
    steps = answers * (length - 1) / going
    filled = going * cache_bytes(config, context, jnp.dtype(dtype).itemsize)
    seconds = readings * max(reading / speed, weights / bandwidth)
    seconds += steps * max(writing / speed, (weights + filled) / bandwidth)
    return readings * reading + steps * writing, seconds


def _drawing(options: SamplingOptions) -> Drawing:
    return Drawing(float(options.temperature), options.top_k, float(options.top_p))


def _asked(rows: int) -> Asked:
    return Asked(_of(jnp.uint32, rows), _of(jnp.int32, rows))


def _key() -> Any:
    return jax.eval_shape(lambda: jax.random.key(0))


def _of(dtype: Any, *shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)
