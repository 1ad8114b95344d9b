"""The trace: one forward pass and one backward pass by the taps alone, kept in compact form."""

from __future__ import annotations

import dataclasses

import chex
import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import Level
from jaxeap.attribution.loss import counted_loss
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.parameters import Weights
from jaxeap.models.propagation import GRADIENT, Propagation
from jaxeap.models.taps import Captures, LayerOverrides, Taps
from jaxeap.parallel.sharding import constrain


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Trace:
    """What attribution needs of one batch; memory grows as L * T * D, whatever the number of nodes.

    Attributes:
      captures: the sources' outputs and the norms' inputs.
      gradients: gradient of the summed loss by every tap, shaped as `Taps`.
      loss: [B] float32, each example's loss.
    """

    captures: Captures
    gradients: Taps
    loss: jax.Array


def run_trace(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    embedding: jax.Array | None = None,
    overrides: LayerOverrides | None = None,
    propagation: Propagation = GRADIENT,
    level: Level = "head",
) -> Trace:
    """Runs a batch forward and backward, without any gradient by a weight.

    The losses of the examples are summed, not averaged, so the gradients of one do not depend on how many there are.

    Args:
      weights: the decoder's weights.
      config: its shape.
      batch: tokens and targets.
      embedding: [B, T, D], run instead of the tokens' embedding (as on a path of integrated gradients).
      overrides: layers' outputs held at given values, or None.
      propagation: rules of the backward pass.
      level: "head" taps each head's queries, keys and values, which serves both levels; "block" taps what they read,
        which spares block level the pull-back through their projections.
    """
    size, length = batch.tokens.shape
    embedding = embed(weights, config, jnp.asarray(batch.tokens)) if embedding is None else embedding
    embedding = constrain(embedding, "residual")
    mask = jnp.asarray(batch.mask)

    def summed_loss(taps: Taps) -> tuple[jax.Array, tuple[Captures, jax.Array]]:
        final, captures = run_layers(weights, config, embedding, mask, taps, overrides, propagation)
        loss = counted_loss(weights, config, final, batch, propagation)
        return jnp.sum(loss), (captures, loss)

    zeros = Taps.zeros(config, size, length, embedding.dtype, each_head=level == "head").laid_out()
    gradients, (captures, loss) = jax.grad(summed_loss, has_aux=True)(zeros)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradients, zeros)
    chex.assert_shape(loss, (size,))
    return Trace(captures, gradients.laid_out(), loss)
