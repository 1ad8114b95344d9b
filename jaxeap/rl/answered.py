"""Prompts with their answers as arrays, and the log-probabilities that a model gives to the answers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers, unembed
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import Captures
from jaxeap.sampling.batching import pad_right

Array = jax.Array | np.ndarray


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Answered:
    """B prompts with an answer each, prompts and answers right-padded on their own.

    Attributes:
      prompts: [B, P] int32.
      prompt_lengths: [B] int32, at least 1.
      answers: [B, N] int32.
      mask: [B, N] bool, True for the answer's tokens, which come first.
    """

    prompts: Array
    prompt_lengths: Array
    answers: Array
    mask: Array

    @classmethod
    def from_tokens(cls, pairs: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Answered:
        """From (prompt, answer) token lists, in NumPy arrays.

        Raises:
          ValueError: there is no pair, or a prompt or an answer is empty.
        """
        pairs = list(pairs)
        if not pairs:
            raise ValueError("there are no answered prompts to learn from")
        for index, (prompt, answer) in enumerate(pairs):
            if not len(prompt) or not len(answer):
                raise ValueError(f"pair {index} has an empty {'answer' if len(prompt) else 'prompt'}")
        prompts, prompt_lengths = pad_right(
            [prompt for prompt, _ in pairs], max(len(prompt) for prompt, _ in pairs), len(pairs)
        )
        answers, lengths = pad_right(
            [answer for _, answer in pairs], max(len(answer) for _, answer in pairs), len(pairs)
        )
        return cls(prompts, prompt_lengths, answers, np.arange(answers.shape[1])[None] < lengths[:, None])

    def take(self, rows: np.ndarray) -> Answered:
        """The given rows."""
        return Answered(self.prompts[rows], self.prompt_lengths[rows], self.answers[rows], self.mask[rows])

    @classmethod
    def concatenate(cls, parts: Sequence[Answered]) -> Answered:
        """The rows of all the parts, whose prompts and answers are padded to equal lengths."""
        return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)

    def __len__(self) -> int:
        return len(self.prompt_lengths)


def answer_captures(weights: Weights, config: ModelConfig, answered: Answered) -> tuple[Captures, jax.Array]:
    """One pass over the prompts with their answers, every answer directly behind its prompt, whatever padding that has.

    Returns:
      The captures, at T = P + N - 1 positions, and of which of them each token of the answers is predicted, [B, N].
    """
    batch, length = answered.prompts.shape
    chex.assert_shape(answered.prompt_lengths, (batch,))
    chex.assert_equal_shape((answered.answers, answered.mask))
    rows = jnp.arange(batch)[:, None]
    # The last token of an answer at its full length predicts nothing that counts, so it is not fed.
    fed = answered.answers.shape[1] - 1
    places = answered.prompt_lengths[:, None] + jnp.arange(fed, dtype=jnp.int32)[None]
    tokens = jnp.pad(answered.prompts, ((0, 0), (0, fed))).at[rows, places].set(answered.answers[:, :fed])
    fed_lengths = answered.prompt_lengths + jnp.sum(answered.mask[:, :fed], axis=1, dtype=jnp.int32)
    mask = jnp.arange(length + fed, dtype=jnp.int32)[None] < fed_lengths[:, None]
    _, captures = run_layers(weights, config, embed(weights, config, tokens), mask)
    return captures, jnp.asarray(answered.prompt_lengths)[:, None] - 1 + jnp.arange(fed + 1, dtype=jnp.int32)[None]


def answer_residuals(weights: Weights, config: ModelConfig, answered: Answered) -> jax.Array:
    """The residual stream [B, N, D] from which each token of the answers is predicted, before the final norm."""
    captures, predicting = answer_captures(weights, config, answered)
    return captures.final[jnp.arange(len(predicting))[:, None], predicting]


@functools.partial(jax.jit, static_argnames=("config", "temperature"))
def answer_log_probs(weights: Weights, config: ModelConfig, answered: Answered, temperature: float = 1.0) -> jax.Array:
    """Log-probability of each token of the answers given all before it, teacher-forced: [B, N] float32, 0 at padding.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      answered: prompts and answers.
      temperature: divides the logits, as in `jaxeap.sampling.complete`.
    """
    logits = unembed(weights, config, answer_residuals(weights, config, answered)) / temperature
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    chosen = jnp.take_along_axis(log_probs, jnp.asarray(answered.answers)[:, :, None], axis=-1)[:, :, 0]
    return jnp.where(answered.mask, chosen, 0.0)
