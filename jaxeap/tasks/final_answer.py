"""The final answer in a worked solution or a model's response."""

from __future__ import annotations

import re

_BOXED = re.compile(r"\\f?boxed(?![a-zA-Z])\s*")
_HASHES = re.compile(r"####\s*([^\n]+)")
_ANSWER_IS = re.compile(r"answer\s*(?:is\s*:?|:)\s*([^\n]*\S)", re.IGNORECASE)
THINKING_ENDS = "</think>"


def last_boxed(text: str) -> str | None:
    """What the last complete `\\boxed{...}` holds, with inner braces matched; `\\boxed 5` holds 5. None: no box."""
    for match in reversed(list(_BOXED.finditer(text))):
        start = match.end()
        if text[start : start + 1] != "{":
            if word := re.match(r"[^\s$]+", text[start:]):
                return word.group().rstrip(".,;")
            continue
        if (end := _closing_brace(text, start)) is not None:
            return text[start + 1 : end].strip()
    return None


def final_answer(text: str) -> str | None:
    """The part of a response that states its answer, in the first of these forms that it has; None where in none.

    The last `\\boxed{...}`; what follows the last `####` (GSM8K); what follows the last "answer is" or "answer:" in
    its line. What stands before the end of a reasoning model's thinking, `</think>`, is left aside.
    """
    text = text.rpartition(THINKING_ENDS)[2]
    if (boxed := last_boxed(text)) is not None:
        return boxed
    for pattern in (_HASHES, _ANSWER_IS):
        if found := pattern.findall(text):
            return found[-1].strip()
    return None


def _closing_brace(text: str, start: int) -> int | None:
    """Place of the brace that closes the one at `start`; escaped braces do not count."""
    depth, place = 0, start
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] in "{}":
            depth += 1 if text[place] == "{" else -1
            if not depth:
                return place
        place += 1
    return None
