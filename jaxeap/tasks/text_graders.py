"""Graders that compare text: whole, after a mark, a choice's letter, yes or no, a short phrase.

Each takes (reference answer, response text) and returns (correct, what of the text was compared).
"""

from __future__ import annotations

import re
import string

from jaxeap.tasks.final_answer import THINKING_ENDS, final_answer
from jaxeap.tasks.judgement import Judgement

_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}")
_LABEL = re.compile(r"(?<![A-Za-z0-9'])(?:\(([A-Za-z]|[0-9])\)|([A-Z]|[0-9]))(?![A-Za-z0-9'])")
_TRUTH = re.compile(r"\b(yes|no|true|false)\b", re.IGNORECASE)
_TRUE = frozenset({"yes", "true"})
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def exact(answer: str, text: str) -> Judgement:
    """Compares the texts without their outer white space, character by character."""
    extracted = text.strip()
    return Judgement(extracted == answer.strip(), extracted)


def result(answer: str, text: str) -> Judgement:
    """Compares what stands after the last colon, where the steps before it end; without a colon there is no result."""
    _, mark, after = text.rpartition(":")
    return Judgement(after.strip() == answer.strip(), after.strip()) if mark else Judgement(False, None)


def choice(answer: str, text: str) -> Judgement:
    """Compares the label of a multiple choice: "B", "(b)", "The answer is (B).", "\\boxed{\\text{B}}".

    A stated final answer counts, and otherwise the last line; the first label in it is the choice. A lone small letter
    is a label in brackets only, and a capital "A" or "I" that begins a sentence is taken for one, so a response had
    better state its answer.
    """
    stated = _stated(text)
    if (match := _LABEL.search(stated)) is None:
        return Judgement(False, None)
    label = (match.group(1) or match.group(2)).upper()
    return Judgement(label == answer.strip().strip("()").upper(), label)


def boolean(answer: str, text: str) -> Judgement:
    """Compares yes with no; true and false are the same. A stated final answer counts, and otherwise the last line.

    Of several in it the last counts: "It is not true that ... so no".
    """
    words = _TRUTH.findall(_stated(text))
    if not words:
        return Judgement(False, None)
    said = words[-1].lower()
    return Judgement((said in _TRUE) == (answer.strip().lower() in _TRUE), said)


def short(answer: str, text: str) -> Judgement:
    """Compares short phrases without case, punctuation, articles and repeated white space (SQuAD's normalisation).

    Several accepted answers are separated by `|` in the reference.
    """
    said = _normalised(_stated(text))
    return Judgement(said != "" and said in {_normalised(accepted) for accepted in answer.split("|")}, said or None)


def _stated(text: str) -> str:
    """The final answer where one is stated, and the last line that is not blank where none is."""
    if (stated := final_answer(text)) is None:
        lines = [line for line in text.rpartition(THINKING_ENDS)[2].splitlines() if line.strip()]
        stated = lines[-1] if lines else ""
    return _LATEX_TEXT.sub(r"\1", stated)


def _normalised(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())
