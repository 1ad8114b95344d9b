"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864), in Hugging Face's half-rotation layout."""

from __future__ import annotations

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class RopeConfig:
    """Base of the geometric series of rotation frequencies."""

    theta: float = 10_000.0


def inverse_frequencies(config: RopeConfig, head_dim: int) -> np.ndarray:
    """Rotation angle per position of each pair of channels: theta^(-2i / K). [K / 2] float32."""
    exponents = np.arange(0, head_dim, 2, dtype=np.float64) / head_dim
    return (1.0 / config.theta**exponents).astype(np.float32)


def rotations(config: RopeConfig, head_dim: int, positions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines for `positions` [B, T] int32; each [B, T, K / 2] float32."""
    # Elementwise and not an einsum: accelerators round the factors of a matrix product, and positions beyond 256 are
    # not bfloat16 numbers.
    angles = positions.astype(jnp.float32)[:, :, None] * inverse_frequencies(config, head_dim)[None, None]
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x: jax.Array, cosines: jax.Array, sines: jax.Array) -> jax.Array:
    """Rotates channel i of every head together with channel i + K / 2.

    Args:
      x: [B, T, N, K] queries or keys.
      cosines, sines: [B, T, K / 2] float32 from `rotations`.
    """
    chex.assert_rank(x, 4)
    half = x.shape[-1] // 2
    cosines, sines = (a[:, :, None, :].astype(x.dtype) for a in (cosines, sines))
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)
