"""Penalties added to a trainer's loss, for experiments that push a model's inside and watch what it does."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from jaxeap.models.attention import write
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.rl.answered import Answered, answer_captures
from jaxeap.rl.training import Metrics


class Penalty(Protocol):
    """A differentiable number from the weights and the batch that a step learns from.

    A penalty stands in a trainer's settings, so it must be hashable and equal to its like; a frozen dataclass is both.
    """

    def __call__(self, weights: Weights, config: ModelConfig, answered: Answered) -> jax.Array:
        """What is added to the loss: a float32 scalar."""


def add_penalty(
    penalty: Penalty | None,
    loss: jax.Array,
    metrics: Metrics,
    weights: Weights,
    config: ModelConfig,
    answered: Answered,
) -> tuple[jax.Array, Metrics]:
    """Loss and metrics with the penalty in both; as they are where there is none."""
    if penalty is None:
        return loss, metrics
    added = penalty(weights, config, answered)
    return loss + added, {**metrics, "penalty": added}


@dataclasses.dataclass(frozen=True)
class ActivationCorrelation:
    """`weight` times the mean correlation between examples of what the layers write: see `activation_correlation`.

    Attributes:
      weight: above 0, training makes the examples' activations differ more; below 0, it makes them more alike.
    """

    weight: float

    def __call__(self, weights: Weights, config: ModelConfig, answered: Answered) -> jax.Array:
        """The penalty."""
        return self.weight * activation_correlation(weights, config, answered)


def activation_correlation(weights: Weights, config: ModelConfig, answered: Answered) -> jax.Array:
    """Mean over sources and over pairs of different examples of the correlation of the source's outputs.

    The sources are every attention and feed-forward layer (`a{l}`, `m{l}`); the embedding, which at the positions in
    question shows the answer's tokens alone, is left out. A source's output for an example is the vector [D] that it
    adds to the residual stream, averaged over the positions that predict the example's answer; correlation is
    Pearson's, over D. All rows of the batch count as examples, so that two answers to one prompt are a pair too. This
    is a number on activations; diversity as the contrast reports it is one on edge scores, and need not follow it.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      answered: B prompts and answers, at least 2.

    Returns:
      Scalar float32 from -1 / (B - 1) to 1.

    Raises:
      ValueError: there are fewer than 2 examples.
    """
    count = len(answered)
    if count < 2:
        raise ValueError(f"a correlation between examples needs at least 2 of them, found {count}")
    captures, predicting = answer_captures(weights, config, answered)
    layers = captures.layers

    def averaged(outputs: jax.Array) -> jax.Array:
        """[L, B, T, ...] -> [L, B, ...] over the predicting positions of each example's answer."""
        picked = outputs[:, jnp.arange(count)[:, None], predicting]
        mask = jnp.expand_dims(jnp.asarray(answered.mask, picked.dtype), (0, *range(3, picked.ndim)))
        return jnp.sum(picked * mask, axis=2) / jnp.sum(mask, axis=2)

    # The output projection is linear, so it is taken once an example and not at every position.
    heads = averaged(layers.heads)[:, :, None]
    attention = jax.vmap(lambda heads, layer: write(heads, layer, config))(heads, weights["layers"])[:, :, 0]
    if layers.output_bias is not None:
        attention = attention + layers.output_bias[:, None]
    written = jnp.concatenate([attention, averaged(layers.mlp)]).astype(jnp.float32)
    centred = written - jnp.mean(written, axis=-1, keepdims=True)
    units = centred * jax.lax.rsqrt(jnp.sum(jnp.square(centred), axis=-1, keepdims=True) + 1e-12)
    # Over all pairs, sum of <z_b, z_c> is |sum of z_b|^2; the pairs b = c give B.
    together = jnp.sum(jnp.square(jnp.sum(units, axis=1)), axis=-1)
    alone = jnp.sum(jnp.square(units), axis=(1, 2))
    return jnp.mean((together - alone) / (count * (count - 1)))
