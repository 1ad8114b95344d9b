"""How the cache lies and how attention reads it: the one place where a CPU and an accelerator differ."""

from __future__ import annotations

from typing import NamedTuple

import jax

from jaxeap.models.config import ModelConfig


class CacheForm(NamedTuple):
    """What is fast on a kind of device.

    Attributes:
      slots_at_once: attention visits a row's blocks in chunks of so many slots, or block by block where blocks are as
        large. Small chunks waste less work on slots that are not filled yet.
      summed: whether attention sums products, which the compiler reads from the cache where it lies, and is not made of
        matrix products.
      keys_by_channel, values_by_channel: whether slots are what lies together, and not a slot's channels.
    """

    slots_at_once: int
    summed: bool
    keys_by_channel: bool
    values_by_channel: bool


ACCELERATOR = CacheForm(slots_at_once=512, summed=False, keys_by_channel=False, values_by_channel=False)
"""Few and large matrix products, which take either order. A token is written as one row: with the keys by channel the
compilers for TPUs and GPUs turn them round to do that, and copy the whole cache, on a TPU in every layer for every
token (`python -m benchmarks.compile_ahead --program=decode`)."""

CPU = CacheForm(slots_at_once=64, summed=False, keys_by_channel=True, values_by_channel=False)
"""Both products of attention are plain batched matrix products of what lies in memory: ten times as fast as with keys
and values as [slots, heads, channels]."""

CPU_SMALL = CacheForm(slots_at_once=1, summed=True, keys_by_channel=True, values_by_channel=True)
"""XLA runs a batch of matrix products on a CPU one by one, each from a copy of what was sliced or gathered and at some
0.3 us of its own, of which 2 x 16 x 64 products need a tenth. Sums over a short axis, slots last, become vector
instructions instead. Measured, both products of attention: with 2 query heads of width 16 for each key head a third of
the time, with 4 of width 32 half, with 7 of width 64 half as much again."""

SMALL = 128
"""Query heads of a key head times their width, up to which a CPU sums."""


def cache_form(config: ModelConfig) -> CacheForm:
    """That of a model on the default device."""
    if jax.default_backend() != "cpu":
        return ACCELERATOR
    return CPU_SMALL if config.num_heads // config.num_kv_heads * config.head_dim <= SMALL else CPU
