"""Generation for lists of prompts: batches them, runs them, and puts the answers back in order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import numpy as np
import rich.console
import rich.progress

from jaxeap.models.model import Decoder
from jaxeap.sampling.batching import batches_by_length, pad_right, padded_length
from jaxeap.sampling.complete import complete


def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_tokens: Sequence[int],
    temperature: float = 0.0,
    seed: int = 0,
    ids: Sequence[int] | None = None,
    batch_size: int = 128,
    description: str = "generating",
) -> list[list[int]]:
    """Answers every prompt once, greedily or by drawing.

    An answer depends on the model, the prompt, the seed and the prompt's id, and not on the other prompts or on the
    batch size: drawing uses a key of its own for each id and step. (Batches of other shapes may differ in the last bit
    of a logit, which can turn the choice between two tokens that are as good as equal.)

    Args:
      model: the decoder.
      prompts: token lists, as they are given to the model.
      max_new_tokens: an answer that has not ended by then is cut.
      stop_tokens: tokens that end an answer.
      temperature: divides the logits before drawing; 0 is greedy.
      seed: of the draws.
      ids: a number from 0 to 2^32 - 1 for each prompt; its place in the list where none are given.
      batch_size: how many prompts run at once.
      description: title of the progress bar, which shows on terminals only.

    Returns:
      For each prompt its answer's tokens, the stop token included where there is one.

    Raises:
      ValueError: a prompt is empty, a token is outside the vocabulary, an option makes no sense, or the model's
        logits are not finite.
    """
    prompts = [list(prompt) for prompt in prompts]
    _check_tokens(prompts, stop_tokens, model.config.vocab_size)
    if max_new_tokens < 1 or batch_size < 1:
        raise ValueError(f"max_new_tokens ({max_new_tokens}) and batch_size ({batch_size}) must be at least 1")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be 0 (greedy) or a finite number above 0, found {temperature}")
    ids = range(len(prompts)) if ids is None else ids
    if len(ids) != len(prompts) or not all(0 <= id_ < 2**32 for id_ in ids):
        raise ValueError(f"ids must be {len(prompts)} numbers from 0 to 2^32 - 1, one for each prompt")
    if not prompts:
        return []

    rows = min(batch_size, len(prompts))
    weights, key = model.weights, jax.random.key(seed)
    answers: list[list[int]] = [[] for _ in prompts]
    console = rich.console.Console(stderr=True)
    batches = batches_by_length([len(prompt) for prompt in prompts], rows)
    for places in rich.progress.track(
        batches, description, console=console, transient=True, disable=not console.is_terminal
    ):
        longest = max(len(prompts[place]) for place in places)
        tokens, lengths = pad_right([prompts[place] for place in places], padded_length(longest), rows)
        batch_ids = np.zeros((rows,), np.uint32)
        batch_ids[: len(places)] = [ids[place] for place in places]
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, batch_ids)
        completed = jax.device_get(
            complete(
                weights,
                model.config,
                tokens,
                lengths,
                keys[:, None],
                max_new_tokens=max_new_tokens,
                stop_tokens=tuple(stop_tokens),
                temperature=float(temperature),
            )
        )
        if not np.isfinite(completed.log_probs).all():
            raise ValueError("the model's logits are not finite: its weights are damaged, or overflow in this dtype")
        for row, place in enumerate(places):
            answers[place] = completed.tokens[row, 0][completed.mask[row, 0]].tolist()
    return answers


def _check_tokens(prompts: Sequence[Sequence[int]], stop_tokens: Sequence[int], vocab_size: int) -> None:
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise ValueError(f"prompt {index} is empty; a model needs at least one token to answer")
        if not 0 <= min(prompt) <= max(prompt) < vocab_size:
            token = next(token for token in prompt if not 0 <= token < vocab_size)
            raise ValueError(
                f"prompt {index} holds token {token}, the model's vocabulary has {vocab_size} tokens; "
                "encode the prompts with the tokenizer of this model"
            )
    if outside := [token for token in stop_tokens if not 0 <= token < vocab_size]:
        raise ValueError(f"stop token {outside[0]} is outside the model's vocabulary of {vocab_size} tokens")
