"""The critic of PPO: a decoder of its own, with one number read from the residual stream instead of logits."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxeap.models.config import ModelConfig
from jaxeap.models.norm import norm
from jaxeap.models.parameters import Weights
from jaxeap.rl.answered import Answered, answer_residuals


def make_critic(weights: Weights) -> dict[str, Any]:
    """A critic on a copy of a model, whose head starts at zero: it values every state 0.

    Returns:
      {"trunk": the weights, copied; "head": [D]; "bias": scalar}.
    """
    embedding = weights["embedding"]
    return {
        "trunk": jax.tree.map(jnp.copy, weights),
        "head": jnp.zeros(embedding.shape[1], jnp.float32),
        "bias": jnp.zeros((), jnp.float32),
    }


@functools.partial(jax.jit, static_argnames="config")
def answer_values(critic: Weights, config: ModelConfig, answered: Answered) -> jax.Array:
    """Value of the state in which each token of the answers was chosen: [B, N] float32, 0 at padding.

    Args:
      critic: of `make_critic`.
      config: the decoder's shape.
      answered: prompts and answers.
    """
    residuals = answer_residuals(critic["trunk"], config, answered)
    normed = norm(residuals, critic["trunk"], "final_norm", config)
    values = jnp.einsum("bnd,d->bn", normed.astype(jnp.float32), critic["head"]) + critic["bias"][None, None]
    return jnp.where(answered.mask, values, 0.0)
