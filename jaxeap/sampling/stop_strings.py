"""Texts that end an answer, wherever the tokenizer's tokens begin and end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import transformers

Stop = Callable[[Sequence[int], int], int | None]
"""(an answer's tokens, how many of them are known not to end it) -> how many tokens the ended answer has, or None."""


def stop_at(tokenizer: transformers.PreTrainedTokenizerBase, strings: Sequence[str]) -> Stop:
    """Finds the first token at which the decoded answer holds one of `strings`; special tokens count as their text.

    The result is a function of the tokens alone, however they are dealt out to the calls.
    """
    # A token is at least a byte of text; the first and the last may hold parts of other characters.
    span = max(len(text.encode()) for text in strings) + 3

    def found(tokens: Sequence[int]) -> bool:
        text = tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return any(string in text for string in strings)

    def stop(tokens: Sequence[int], checked: int) -> int | None:
        if not found(tokens[max(0, checked - span) :]):
            return None
        ends = range(checked + 1, len(tokens) + 1)
        return next((end for end in ends if found(tokens[max(0, end - span) : end])), None)

    return stop


def cut_text(text: str, strings: Sequence[str]) -> str:
    """The text up to where the first of `strings` begins."""
    return text[: min((text.index(string) for string in strings if string in text), default=len(text))]
