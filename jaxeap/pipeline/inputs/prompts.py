"""From a question to the tokens that a model is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jinja2

from jaxeap.tasks.questions import Question
from jaxeap.tasks.templates import QUESTION, resolve_template
from jaxeap.tasks.tokenizer import encode_prompt

if TYPE_CHECKING:
    import transformers


def prompt_tokens(
    tokenizer: transformers.PreTrainedTokenizerBase, question: str, template: str, chat_template: bool
) -> list[int]:
    """The tokens of one prompt.

    Exactly one beginning-of-text token stands at the front where the tokenizer itself would put one, and none where it
    would not, whether or not the template writes it out. A chat template is followed to the letter.

    Args:
      tokenizer: of the model.
      question: text of the question.
      template: text with "{question}" in it, other braces stand for themselves; or a name in `TEMPLATES`.
      chat_template: whether that is a user's message, to be wrapped by the tokenizer's chat template.

    Raises:
      ValueError: the tokenizer has no chat template, the template raises an error, there is no token for something in
        the prompt, or the prompt begins with two beginning-of-text tokens.
    """
    template, chat_template = resolve_template(template, chat_template)
    text = template.replace(QUESTION, question)
    if chat_template:
        if tokenizer.chat_template is None:
            raise ValueError(
                f"the tokenizer in {tokenizer.name_or_path} has no chat template; set config.chat_template=False and "
                "give config.template the prompt that the model was trained with"
            )
        messages = [{"role": "user", "content": text}]
        try:
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        except jinja2.TemplateError as error:
            where = f"the chat template of the tokenizer in {tokenizer.name_or_path}"
            raise ValueError(f"{where} refuses a single user's message: {error}") from error
    tokens = encode_prompt(tokenizer, text)
    begin = tokenizer.bos_token_id
    adds_begin = begin is not None and tokenizer.encode("")[:1] == [begin]
    if not chat_template and adds_begin and tokens[0] != begin:
        tokens = [begin, *tokens]
    if begin is not None and tokens[:2] == [begin, begin]:
        raise ValueError(
            f"the prompt begins with two beginning-of-text tokens ({tokenizer.bos_token!r}); take one out of "
            f"{'the chat template or ' if chat_template else ''}config.template"
        )
    return tokens


def pair_prompts(
    base: transformers.PreTrainedTokenizerBase,
    tuned: transformers.PreTrainedTokenizerBase,
    questions: Sequence[Question],
    template: str,
    chat_template: bool,
) -> list[list[int]]:
    """The tokens that both models are given, one list a question.

    Raises:
      ValueError: as `prompt_tokens`; or the tokenizers make different tokens of a prompt. The message shows where.
    """
    prompts = []
    for question in questions:
        by_base, by_tuned = (prompt_tokens(t, question.question, template, chat_template) for t in (base, tuned))
        if by_base != by_tuned:
            raise ValueError(_first_difference(base, tuned, by_base, by_tuned, question))
        prompts.append(by_base)
    return prompts


def _first_difference(
    base: transformers.PreTrainedTokenizerBase,
    tuned: transformers.PreTrainedTokenizerBase,
    by_base: list[int],
    by_tuned: list[int],
    question: Question,
) -> str:
    same = 0
    while same < min(len(by_base), len(by_tuned)) and by_base[same] == by_tuned[same]:
        same += 1

    def shown(tokenizer: transformers.PreTrainedTokenizerBase, tokens: list[int]) -> str:
        if same == len(tokens):
            return "the end of the prompt"
        return f"{tokens[same]} {tokenizer.decode(tokens[same : same + 1])!r}"

    return (
        f"the two models are given different prompts, so they cannot be compared: question {question.id!r}, token "
        f"{same}, after {base.decode(by_base[:same])[-40:]!r}: base {shown(base, by_base)}, tuned "
        f"{shown(tuned, by_tuned)}. Write a config.template that both tokenizers read alike (with "
        "chat_template=False), or give both folders one tokenizer"
    )
