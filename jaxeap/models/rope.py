"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864), in Hugging Face's half-rotation layout."""

from __future__ import annotations

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.models.rope_scaling import LongRopeScaling, RopeScaling, YarnScaling


@dataclasses.dataclass(frozen=True)
class RopeConfig:
    """Which channels are rotated and how fast.

    Attributes:
      theta: base of the geometric series of rotation frequencies.
      scaling: how the series is stretched, or None.
      fraction: of a head's channels, how many are rotated; the first ones are, the others left alone.
    """

    theta: float = 10_000.0
    scaling: RopeScaling | None = None
    fraction: float = 1.0


def inverse_frequencies(config: RopeConfig, head_dim: int) -> np.ndarray:
    """Rotation angle per position of each pair of channels: theta^(-2i / R), stretched. [R / 2] float32.

    R is the number of channels that are rotated, all K unless `config.fraction` says otherwise.
    """
    frequencies = _unstretched(config, head_dim)
    if config.scaling is not None:
        frequencies = config.scaling.stretch(frequencies, config.theta)
    return frequencies.astype(np.float32)


def _unstretched(config: RopeConfig, head_dim: int) -> np.ndarray:
    rotated = int(head_dim * config.fraction)
    return config.theta ** -(np.arange(0, rotated, 2, dtype=np.float64) / rotated)


def rotations(config: RopeConfig | None, head_dim: int, positions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines for `positions` [B, T] int32; each [B, T, R / 2] float32. None rotates nothing.

    Where the stretching depends on the length, each row's own decides, so that no example depends on its batch.
    """
    if config is None:
        shape = (*positions.shape, head_dim // 2)
        return jnp.ones(shape, jnp.float32), jnp.zeros(shape, jnp.float32)
    frequencies = jnp.asarray(inverse_frequencies(config, head_dim))[None, None]
    scaling = config.scaling
    if isinstance(scaling, LongRopeScaling) and positions.shape[1] > scaling.original_length:
        long = scaling.stretch_long(_unstretched(config, head_dim)).astype(np.float32)[None, None]
        beyond = jnp.max(positions, axis=1)[:, None, None] >= scaling.original_length
        frequencies = jnp.where(beyond, long, frequencies)
    # Elementwise and not an einsum: accelerators round the factors of a matrix product, and positions beyond 256 are
    # not bfloat16 numbers.
    angles = positions.astype(jnp.float32)[:, :, None] * frequencies
    if isinstance(scaling, YarnScaling | LongRopeScaling):
        return jnp.cos(angles) * scaling.magnitude, jnp.sin(angles) * scaling.magnitude
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x: jax.Array, cosines: jax.Array, sines: jax.Array) -> jax.Array:
    """Rotates channel i of every head together with channel i + R / 2; channels from R on stay as they are.

    Args:
      x: [B, T, N, K] queries or keys.
      cosines, sines: [B, T, R / 2] float32 from `rotations`.
    """
    chex.assert_rank(x, 4)
    half = cosines.shape[-1]
    cosines, sines = (a[:, :, None, :].astype(x.dtype) for a in (cosines, sines))
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    turned = [first * cosines - second * sines, second * cosines + first * sines]
    return jnp.concatenate(turned if rest.shape[-1] == 0 else [*turned, rest], axis=-1)
