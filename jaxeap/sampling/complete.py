"""The jitted core of generation: padded prompts in, tokens with their log-probabilities out."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxeap.models.cache import KVCache, extend
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import unembed
from jaxeap.models.parameters import Weights


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Completions:
    """R answers to each of B prompts, up to N tokens each.

    Attributes:
      tokens: [B, R, N] int32; 0 after an answer's end.
      log_probs: [B, R, N] float32, of each token under the distribution that it was drawn from (greedy: the model's
        own); 0 after an answer's end.
      mask: [B, R, N] bool, True for the tokens of an answer, the stop token included.
    """

    tokens: jax.Array
    log_probs: jax.Array
    mask: jax.Array


class _Loop(NamedTuple):
    step: jax.Array
    cache: KVCache
    ended: jax.Array
    answers: Completions


def choose(logits: jax.Array, keys: jax.Array, temperature: float) -> tuple[jax.Array, jax.Array]:
    """The next token of every row, and its log-probability.

    Args:
      logits: [M, V] float32.
      keys: [M] PRNG keys; a row's draw depends on its own key and logits alone.
      temperature: divides the logits before drawing; 0 takes the most likely token, the first one among equals.

    Returns:
      tokens [M] int32; log-probabilities [M] float32 under softmax(logits / temperature), at 0 under softmax(logits).
    """
    if temperature == 0:
        tokens = jnp.argmax(logits, axis=-1)
    else:
        logits = logits / temperature
        tokens = jax.vmap(jax.random.categorical)(keys, logits)
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    return tokens.astype(jnp.int32), jnp.take_along_axis(log_probs, tokens[:, None], axis=-1)[:, 0]


@functools.partial(jax.jit, static_argnames=("config", "max_new_tokens", "stop_tokens", "temperature"))
def complete(
    weights: Weights,
    config: ModelConfig,
    prompts: jax.Array,
    prompt_lengths: jax.Array,
    keys: jax.Array,
    *,
    max_new_tokens: int,
    stop_tokens: tuple[int, ...],
    temperature: float,
) -> Completions:
    """Answers every prompt R times, in as many steps as the longest answer takes.

    A prompt is run once, whatever R is. The cache takes 2 * L * B * R * (P + N) * G * K numbers of the weights' dtype.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      prompts: [B, P] int32, right-padded.
      prompt_lengths: [B] int32; a row of length 0 is no prompt, and is not answered.
      keys: [B, R] PRNG keys, one for each answer.
      max_new_tokens: N.
      stop_tokens: tokens that end an answer.
      temperature: of `choose`.
    """
    batch, length = prompts.shape
    chex.assert_shape(prompt_lengths, (batch,))
    chex.assert_shape(keys, (batch, None))
    answers_each = keys.shape[1]
    rows, keys = batch * answers_each, keys.reshape(-1)
    stops = jnp.array(stop_tokens, jnp.int32)

    def record(loop: _Loop, residual: jax.Array) -> _Loop:
        """Takes the next token after the residual [M, D] for every row that has not ended."""
        step_keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, loop.step)
        tokens, log_probs = choose(unembed(weights, config, residual), step_keys, temperature)
        lives = ~loop.ended
        answers = Completions(
            tokens=loop.answers.tokens.at[:, loop.step].set(jnp.where(lives, tokens, 0)),
            log_probs=loop.answers.log_probs.at[:, loop.step].set(jnp.where(lives, log_probs, 0.0)),
            mask=loop.answers.mask.at[:, loop.step].set(lives),
        )
        return _Loop(loop.step + 1, loop.cache, loop.ended | jnp.isin(tokens, stops), answers)

    def advance(loop: _Loop) -> _Loop:
        latest = jax.lax.dynamic_slice_in_dim(loop.answers.tokens, loop.step - 1, 1, axis=1)
        residual, cache = extend(weights, config, latest, (~loop.ended).astype(jnp.int32), loop.cache)
        return record(loop._replace(cache=cache), residual[:, 0])

    # The last token needs no slot: nothing is predicted after it.
    cache = KVCache.empty(config, batch, length + max_new_tokens - 1, weights["embedding"].dtype)
    residual, cache = extend(weights, config, prompts, prompt_lengths, cache)
    last = residual[jnp.arange(batch), jnp.maximum(prompt_lengths - 1, 0)]
    start = _Loop(
        step=jnp.int32(0),
        cache=KVCache(
            key=jnp.repeat(cache.key, answers_each, axis=1),
            value=jnp.repeat(cache.value, answers_each, axis=1),
            lengths=jnp.repeat(cache.lengths, answers_each),
        ),
        ended=jnp.repeat(prompt_lengths == 0, answers_each),
        answers=Completions(
            tokens=jnp.zeros((rows, max_new_tokens), jnp.int32),
            log_probs=jnp.zeros((rows, max_new_tokens), jnp.float32),
            mask=jnp.zeros((rows, max_new_tokens), bool),
        ),
    )
    loop = jax.lax.while_loop(
        lambda loop: (loop.step < max_new_tokens) & ~jnp.all(loop.ended),
        advance,
        record(start, jnp.repeat(last, answers_each, axis=0)),
    )
    return jax.tree.map(lambda array: array.reshape(batch, answers_each, max_new_tokens), loop.answers)
