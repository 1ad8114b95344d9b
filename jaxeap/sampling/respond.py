"""From questions to responses: the questions are encoded, answered and decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxeap.models.model import Decoder
from jaxeap.sampling.generate import generate
from jaxeap.tasks.questions import Question
from jaxeap.tasks.responses import Response
from jaxeap.tasks.tokenizer import encode_prompt

if TYPE_CHECKING:
    import transformers


def respond(
    model: Decoder,
    tokenizer: transformers.PreTrainedTokenizerBase,
    questions: Sequence[Question],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 128,
    description: str = "answering",
) -> list[Response]:
    """Puts the questions to the model as they stand, without a template; answers end with the tokenizer's eos token.

    Args:
      model: the decoder.
      tokenizer: of this model.
      questions: what is asked.
      max_new_tokens, temperature, seed, batch_size, description: as of `generate`.

    Returns:
      One response a question, in their order.

    Raises:
      ValueError: the tokenizer has no eos token or cannot encode a question; and as `generate`.
    """
    stop = require_eos(tokenizer)
    prompts = [encode_prompt(tokenizer, question.question) for question in questions]
    answers = generate(
        model,
        prompts,
        max_new_tokens=max_new_tokens,
        stop_tokens=(stop,),
        temperature=temperature,
        seed=seed,
        batch_size=batch_size,
        description=description,
    )
    return responses_of(tokenizer, questions, prompts, answers, stop)


def responses_of(
    tokenizer: transformers.PreTrainedTokenizerBase,
    questions: Sequence[Question],
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[int]],
    stop: int,
) -> list[Response]:
    """The responses that prompts and answers (token lists, one each a question) make; a last token `stop` ends one."""
    texts = tokenizer.batch_decode([list(answer) for answer in answers], skip_special_tokens=True)
    return [
        Response(
            question_id=question.id,
            prompt_tokens=tuple(prompt),
            answer_tokens=tuple(answer),
            text=text,
            finished=bool(answer) and answer[-1] == stop,
        )
        for question, prompt, answer, text in zip(questions, prompts, answers, texts, strict=True)
    ]


def require_eos(tokenizer: transformers.PreTrainedTokenizerBase) -> int:
    """The tokenizer's eos token; ValueError where it has none."""
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no eos token, so no answer could end; set it in tokenizer_config.json")
    return tokenizer.eos_token_id
