"""Generation for lists of prompts: what is asked is checked, written by `ContinuousBatch`, and put back in order."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import rich.console

from jaxeap.models.model import Decoder
from jaxeap.parallel import hosts
from jaxeap.sampling.continuous import Answer, ContinuousBatch, Report, Request
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.stop_strings import Stop, stop_at
from jaxeap.sampling.throughput import answer_bar

if TYPE_CHECKING:
    import transformers


def generate(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_tokens: Sequence[int],
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    ids: Sequence[int] | None = None,
    batch_size: int = 128,
    description: str = "generating",
) -> list[list[int]]:
    """Answers every prompt once, greedily or by drawing; `answers` does more.

    Args:
      model: the decoder.
      prompts: token lists, as they are given to the model.
      max_new_tokens, temperature, top_k, top_p, seed, batch_size: as of `SamplingOptions`.
      stop_tokens, ids, description: as of `answers`.

    Returns:
      For each prompt its answer's tokens, the stop token included where there is one.

    Raises:
      ValueError: as of `answers`.
    """
    options = SamplingOptions(
        max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, batch_size=batch_size
    )
    written = answers(model, prompts, options, stop_tokens=stop_tokens, ids=ids, description=description)
    return [answer.tokens for answer in sorted(written, key=lambda answer: answer.place)]


def answers(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    options: SamplingOptions,
    *,
    stop_tokens: Sequence[int],
    ids: Sequence[int] | None = None,
    done: Collection[tuple[int, int]] = (),
    tokenizer: transformers.PreTrainedTokenizerBase | None = None,
    description: str = "generating",
    report: Report | None = None,
) -> Iterator[Answer]:
    """Answers every prompt `options.samples` times, and yields each answer as soon as it has ended.

    An answer depends on the model, the prompt, the options, and the prompt's id, and not on the other prompts: drawing
    uses a key of its own for each seed, id, sample and place in the answer. With other prompts of the same number and
    the same greatest length, it is the same to the last bit of every logit. Otherwise (another `batch_size`, say) the
    matrix products have other shapes and may round otherwise, which can turn the choice between two tokens that are
    as good as equal.

    Args:
      model: the decoder.
      prompts: token lists, as they are given to the model.
      options: see there.
      stop_tokens: tokens that end an answer.
      ids: a number from 0 to 2^32 - 1 for each prompt; its place in the list where none are given.
      done: (place, sample) of answers that are there already and not to be written. What is left comes out to the bit
        as if all were written.
      tokenizer: of the model; needed for stop strings alone.
      description: title of the progress bar, which shows tokens a second, on terminals only.
      report: told of every device call.

    Raises:
      ValueError: a prompt is empty, a token is outside the vocabulary, an option makes no sense, the cache has no room
        for the longest answer, or the model's logits are not finite.
    """
    prompts = [list(prompt) for prompt in prompts]
    _check_tokens(prompts, stop_tokens, model.config.vocab_size)
    ids = range(len(prompts)) if ids is None else ids
    if len(ids) != len(prompts) or not all(0 <= id_ < 2**32 for id_ in ids):
        raise ValueError(f"ids must be {len(prompts)} numbers from 0 to 2^32 - 1, one for each prompt")
    if options.stop_strings and tokenizer is None:
        raise ValueError("stop strings are found in decoded text; pass the tokenizer of the model")
    if not prompts:
        return iter(())
    left = [
        Request(place, sample, ids[place], prompt)
        for place, prompt in enumerate(prompts)
        for sample in range(options.samples)
        if (place, sample) not in done
    ]
    stop = stop_at(tokenizer, options.stop_strings) if tokenizer is not None and options.stop_strings else None
    return _written(model, prompts, left, options, stop_tokens, stop, description, report)


def _written(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    left: Sequence[Request],
    options: SamplingOptions,
    stop_tokens: Sequence[int],
    stop: Stop | None,
    description: str,
    report: Report | None,
) -> Iterator[Answer]:
    console = rich.console.Console(stderr=True, quiet=not hosts.is_first())
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(answer_bar(description, len(left), console))

        def tell(ended: int, tokens: int, steps: int) -> None:
            bar(ended, tokens)
            if report is not None:
                report(ended, tokens, steps)

        batch = ContinuousBatch(
            model,
            left,
            options,
            rows=min(options.batch_size, len(prompts) * options.samples),
            longest_prompt=max(len(prompt) for prompt in prompts),
            stop_tokens=stop_tokens,
            stop=stop,
            report=tell,
        )
        yield from batch.answers()


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
