"""The next token of every row: greedy, or drawn at a temperature from the most likely ones."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def token_keys(seed_key: jax.Array, ids: Any, samples: Any, places: Any) -> jax.Array:
    """A PRNG key for each row's next token, [M], which no other row, batch or order of work has a part in.

    Args:
      seed_key: scalar PRNG key, made of the seed.
      ids: [M] uint32, of the prompts.
      samples: [M] int32, which of the prompt's answers.
      places: [M] int32, which of the answer's tokens.
    """

    def key(id_: jax.Array, sample: jax.Array, place: jax.Array) -> jax.Array:
        answer = jax.random.fold_in(jax.random.fold_in(seed_key, id_), sample)
        return jax.random.fold_in(answer, place)

    return jax.vmap(key)(ids, samples, places)


def draw(logits: jax.Array, keys: jax.Array, temperature: float, top_k: int = 0, top_p: float = 1.0) -> jax.Array:
    """The next token of every row, [M] int32.

    The order is that of transformers: temperature, then top-k, then top-p among what top-k left. Exactly
    min(top_k, V) tokens are left by top-k; of equally likely ones, those that stand first in the vocabulary.

    Args:
      logits: [M, V] float32.
      keys: [M] PRNG keys; a row's draw depends on its own key and logits alone.
      temperature, top_k, top_p: as of `SamplingOptions`; at temperature 0 the first of the most likely tokens is taken.
    """
    if temperature == 0:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    logits = logits / temperature
    if top_k == 0 and top_p == 1:
        return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)
    vocabulary = logits.shape[-1]
    values, tokens = jax.lax.top_k(logits, min(top_k or vocabulary, vocabulary))
    probabilities = jax.nn.softmax(values, axis=-1)
    likelier = jnp.cumsum(probabilities, axis=-1) - probabilities  # What stands before the token; 0 for the first.
    values = jnp.where(likelier < top_p, values, -jnp.inf)
    places = jax.vmap(jax.random.categorical)(keys, values)
    return jnp.take_along_axis(tokens, places[:, None], axis=-1)[:, 0].astype(jnp.int32)
