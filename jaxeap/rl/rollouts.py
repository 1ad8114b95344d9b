"""Rollouts: answers drawn from the model in training, with the log-probabilities that they were drawn at."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.rl.answered import Answered
from jaxeap.sampling.complete import complete


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rollouts:
    """B answers to B / R prompts; the R answers to one prompt are neighbours, and form its group.

    Attributes:
      answered: the prompts, each repeated R times, and the answers.
      log_probs: [B, N] float32, of each token under the distribution that it was drawn from; 0 at padding.
    """

    answered: Answered
    log_probs: jax.Array

    def answer_lists(self) -> list[list[int]]:
        """The answers as token lists, the stop token included."""
        tokens, mask = np.asarray(self.answered.answers), np.asarray(self.answered.mask)
        return [row[real].tolist() for row, real in zip(tokens, mask, strict=True)]


def roll_out(
    weights: Weights,
    config: ModelConfig,
    prompts: np.ndarray,
    prompt_lengths: np.ndarray,
    key: jax.Array,
    *,
    answers_each: int,
    max_new_tokens: int,
    stop_tokens: tuple[int, ...],
    temperature: float,
) -> Rollouts:
    """Draws R answers to each prompt.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      prompts: [B / R, P] int32, right-padded.
      prompt_lengths: [B / R] int32.
      key: PRNG key of this call; each answer takes a key of its own from it.
      answers_each: R.
      max_new_tokens, stop_tokens, temperature: as of `complete`; the temperature must be above 0.

    Raises:
      ValueError: temperature 0 was asked for, at which all answers to a prompt are the same.
    """
    if temperature <= 0:
        raise ValueError(f"rollouts are drawn at a temperature above 0, found {temperature}")
    completions = complete(
        weights,
        config,
        prompts,
        prompt_lengths,
        jax.random.split(key, (len(prompts), answers_each)),
        max_new_tokens=max_new_tokens,
        stop_tokens=stop_tokens,
        temperature=temperature,
    )
    rows = (len(prompts) * answers_each, max_new_tokens)
    answered = Answered(
        prompts=np.repeat(prompts, answers_each, axis=0),
        prompt_lengths=np.repeat(prompt_lengths, answers_each),
        answers=completions.tokens.reshape(rows),
        mask=completions.mask.reshape(rows),
    )
    return Rollouts(answered, completions.log_probs.reshape(rows))
