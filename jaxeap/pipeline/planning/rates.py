"""How fast a device computes and reads: as set, as measured in about a second, or supposed where neither can be."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxeap.models.config import ModelConfig

SUPPOSED_TERAFLOPS = 150.0
SUPPOSED_GB_PER_SECOND = 1000.0
"""Half of an A100's peaks."""
REACHED = 0.6
"""Share of the rate of plain matrix products that whole programs reach, whose norms, softmaxes and small products take
time as well. Scoring reached 56% of it on a CPU (docs/scaling.md)."""
SECONDS = 0.2
"""Of each of the three measurements, compiling not counted; a single product may take as long."""
FEWEST_TOKENS = 64
MATRIX_BYTES = {"cpu": 64 * 2**20}
"""Of a matrix that is measured with, 512 MiB where nothing is named: more than any cache holds, and made in no time."""


@dataclasses.dataclass(frozen=True)
class Rates:
    """What one device does in a second.

    Attributes:
      flops: operations of programs in the run's dtype.
      precise_flops: the same of products of float32 at the highest precision, which scores are summed in.
      bandwidth: bytes read from memory.
      origin: how that is known, in words.
    """

    flops: float
    precise_flops: float
    bandwidth: float
    origin: str

    def seconds(self, flops: float, precise: float = 0.0) -> float:
        """Of so many operations, `precise` of them at the highest precision."""
        return (flops - precise) / self.flops + precise / self.precise_flops


def rates(
    teraflops: float | None, gb_per_second: float | None, config: ModelConfig, dtype: str, tokens: int, measure: bool
) -> Rates:
    """The rates that a plan reckons with.

    Args:
      teraflops, gb_per_second: as set; None to measure or to suppose them.
      config: the decoder's shape, which products are measured in.
      dtype: of the run.
      tokens: of a batch that is scored.
      measure: whether the run is to go on here. On an accelerator it is measured in any case.
    """
    given = teraflops is not None and gb_per_second is not None
    if not given and (measure or jax.default_backend() != "cpu"):
        found = measured(jax.local_devices()[0].device_kind, dtype, config.embed_dim, config.mlp_dim, tokens)
    else:
        supposed = 1e12 * SUPPOSED_TERAFLOPS
        found = Rates(supposed, supposed, 1e9 * SUPPOSED_GB_PER_SECOND, "as set" if given else "supposed")
    if teraflops is not None:
        found = dataclasses.replace(found, flops=1e12 * teraflops, precise_flops=1e12 * teraflops)
    if gb_per_second is not None:
        found = dataclasses.replace(found, bandwidth=1e9 * gb_per_second)
    if not given and (teraflops is not None or gb_per_second is not None):
        found = dataclasses.replace(found, origin=f"partly set, else {found.origin}")
    return found


@functools.cache
def measured(device_kind: str, dtype: str, width: int, inner: int, tokens: int) -> Rates:
    """Measures the first device with products of `tokens` x `width` by `width` x `inner` matrices, and back.

    Fewer tokens are taken where so many would take longer than `SECONDS`, and a smaller inner width where the matrix
    would be larger than `MATRIX_BYTES`. One measurement for all devices of a kind.
    """
    inner = min(inner, max(1, _matrix_bytes() // (jnp.dtype(dtype).itemsize * width)))
    product, at_once = _product_rate(jnp.dtype(dtype), width, inner, tokens)
    precise = product
    if (device_kind, dtype) != ("cpu", "float32"):  # There all products are that precise.
        precise, _ = _product_rate(jnp.dtype(jnp.float32), width, inner, at_once, jax.lax.Precision.HIGHEST)
    reading = _reading_rate(jnp.dtype(dtype), width)
    origin = f"{REACHED:.0%} of that of products with {at_once:,} tokens, measured on this {device_kind}"
    return Rates(REACHED * product, REACHED * precise, reading, origin)


def _product_rate(
    dtype: Any, width: int, inner: int, tokens: int, precision: jax.lax.Precision | None = None
) -> tuple[float, int]:
    """Operations a second, and with how many tokens at once."""
    into, back = jnp.full((width, inner), 0.01, dtype), jnp.full((inner, width), 0.01, dtype)

    @jax.jit
    def forth_and_back(x: jax.Array, into: jax.Array, back: jax.Array) -> jax.Array:
        return jnp.matmul(jnp.matmul(x, into, precision=precision), back, precision=precision)

    def seconds(tokens: int, least: float) -> float:
        x = jnp.full((tokens, width), 0.01, dtype)
        return _seconds(lambda: forth_and_back(x, into, back), least)

    few = min(tokens, FEWEST_TOKENS)
    at_once = min(tokens, few * max(1, int(SECONDS / seconds(few, 0.0))))
    return 4 * at_once * width * inner / seconds(at_once, SECONDS), at_once


def _reading_rate(dtype: Any, width: int) -> float:
    """Bytes a second that the product of a matrix and a vector reads, as one step of writing an answer does."""
    rows = max(1, _matrix_bytes() // (dtype.itemsize * width))
    matrix, vector = jnp.full((rows, width), 0.01, dtype), jnp.full((width,), 0.01, dtype)
    product = jax.jit(lambda matrix, vector: matrix @ vector)
    return rows * width * dtype.itemsize / _seconds(lambda: product(matrix, vector), SECONDS)


def _matrix_bytes() -> int:
    return MATRIX_BYTES.get(jax.default_backend(), 512 * 2**20)


def _seconds(run: Callable[[], jax.Array], least: float) -> float:
    """Of one run, in the mean over as many as go into `least` seconds, after one that compiles."""
    jax.block_until_ready(run())
    begun, times = time.perf_counter(), 0
    while True:
        jax.block_until_ready(run())
        times += 1
        passed = time.perf_counter() - begun
        if passed >= least:
            return passed / times
