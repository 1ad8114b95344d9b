"""Responses that were made elsewhere (vLLM, SGLang, TensorRT-LLM, ...), both models' in one file of JSON lines.

The keys are those of the files behind arXiv 2509.21044 (`all_correct.jsonl`, `all_wrong.jsonl`, ...):

    idx, question, gt                            id, question, reference answer; `id` and `answer` will do as well
    base_prompt_tokens, base_answer_tokens       lists of token numbers
    base_answer_tokens_range                     optional: [length of the prompt, length of prompt and answer]
    base_score                                   optional: whether the answer is right, as judged elsewhere
    rl_prompt_tokens, ...                        the same of the tuned model; `tuned_` will do as well

Other keys are left aside. The paper keeps each correctness class in a file of its own; select from all of them by
joining the files.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxeap.tasks.grading import Verdict
from jaxeap.tasks.jsonl import read_jsonl
from jaxeap.tasks.questions import Question
from jaxeap.tasks.responses import Response

if TYPE_CHECKING:
    import transformers

PREFIXES = {"base": ("base",), "tuned": ("rl", "tuned")}
"""Of the keys, by role; the first that a record has is taken."""
ID_KEYS = ("idx", "id", "unique_id")
ANSWER_KEYS = ("gt", "answer", "final_answer")
SHOWN = 40


@dataclasses.dataclass(frozen=True)
class TokenAnswer:
    """What one model was given and produced, in tokens; `correct` is None where the file does not say."""

    prompt_tokens: tuple[int, ...]
    answer_tokens: tuple[int, ...]
    correct: bool | None


@dataclasses.dataclass(frozen=True)
class Imported:
    """The content of a file, in its order.

    Attributes:
      questions: with the reference answers.
      answers: role ("base", "tuned") -> one a question.
    """

    questions: tuple[Question, ...]
    answers: Mapping[str, tuple[TokenAnswer, ...]]

    def verdicts(self, role: str) -> list[Verdict]:
        """The grades that the file holds.

        Raises:
          ValueError: it holds none for some question.
        """
        verdicts = []
        for question, answer in zip(self.questions, self.answers[role], strict=True):
            if answer.correct is None:
                raise ValueError(
                    f"question {question.id!r} has no {PREFIXES[role][0]}_score, so its grade is not known; grade the "
                    "responses instead of taking the recorded grades"
                )
            verdicts.append(Verdict(question.id, answer.correct, None, "recorded"))
        return verdicts

    def responses(
        self, role: str, tokenizer: transformers.PreTrainedTokenizerBase, stops: Sequence[int]
    ) -> list[Response]:
        """The responses with their text; an answer whose last token is one of `stops` was ended by the model."""
        return [
            _response(question, answer, tokenizer, stops)
            for question, answer in zip(self.questions, self.answers[role], strict=True)
        ]


def read_imported(path: str | os.PathLike[str]) -> Imported:
    """Reads both models' responses.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a key is missing or of the wrong type, a range does not fit its tokens, an id comes twice, or the
        file is empty; file, line and key are named.
    """
    questions: dict[str, Question] = {}
    answers: dict[str, list[TokenAnswer]] = {role: [] for role in PREFIXES}
    for line, record in read_jsonl(path):
        where = f"{path}, line {line}"
        question = Question(
            id=str(_value(record, ID_KEYS, where)),
            question=_value(record, ("question",), where, str),
            answer=str(_value(record, ANSWER_KEYS, where)),
            level=str(record.get("level") or ""),
            subject=str(record.get("subject") or record.get("type") or ""),
            source=str(record.get("source") or ""),
        )
        if question.id in questions:
            raise ValueError(f"{where}: id {question.id!r} comes twice; the comparison takes one answer a question")
        questions[question.id] = question
        for role, prefixes in PREFIXES.items():
            answers[role].append(_token_answer(record, prefixes, where))
    if not questions:
        raise ValueError(f"{path}: the file holds no responses")
    return Imported(tuple(questions.values()), {role: tuple(listed) for role, listed in answers.items()})


def require_tokens_of(
    imported: Imported,
    role: str,
    tokenizer: transformers.PreTrainedTokenizerBase,
    render: Callable[[Question], Sequence[int]] | None = None,
) -> None:
    """Refuses responses that another tokenizer made: they would be scored as a text that nobody wrote.

    Args:
      imported: from `read_imported`.
      role: "base" or "tuned".
      tokenizer: of that model.
      render: from a question to the prompt's tokens, where the template is known; else the prompt must hold the
        question's text.

    Raises:
      ValueError: a token is not in the vocabulary, or a prompt is not what it should be; the first difference is shown.
    """
    vocabulary = len(tokenizer)
    for question, answer in zip(imported.questions, imported.answers[role], strict=True):
        where = f"question {question.id!r}, {role} model"
        for name, tokens in (("prompt", answer.prompt_tokens), ("answer", answer.answer_tokens)):
            if beyond := [token for token in tokens if not 0 <= token < vocabulary]:
                raise ValueError(
                    f"{where}: token {beyond[0]} of the {name} is not one of the tokenizer's {vocabulary}; were the "
                    "responses made by this model?"
                )
        if render is None:
            shown = tokenizer.decode(list(answer.prompt_tokens))
            if _words(question.question) not in _words(shown):
                raise ValueError(
                    f"{where}: the prompt reads {shown[:SHOWN]!r}..., which does not hold the question "
                    f"{question.question[:SHOWN]!r}; were the responses made with this tokenizer?"
                )
        elif (expected := tuple(render(question))) != answer.prompt_tokens:
            raise ValueError(f"{where}: {_difference(tokenizer, answer.prompt_tokens, expected)}")


def _difference(tokenizer: transformers.PreTrainedTokenizerBase, found: Sequence[int], expected: Sequence[int]) -> str:
    pairs = enumerate(zip(found, expected, strict=False))
    place = next((i for i, (a, b) in pairs if a != b), min(len(found), len(expected)))

    def token(tokens: Sequence[int]) -> str:
        if place == len(tokens):
            return "the end of the prompt"
        return f"{tokens[place]} {tokenizer.decode([tokens[place]])!r}"

    before = tokenizer.decode(list(found[:place]))[-SHOWN:]
    return (
        f"the prompt is not what the template makes of the question; first difference at token {place}, after "
        f"{before!r}: {token(found)} in the file, {token(expected)} from the template"
    )


def _response(
    question: Question, answer: TokenAnswer, tokenizer: transformers.PreTrainedTokenizerBase, stops: Sequence[int]
) -> Response:
    finished = bool(answer.answer_tokens) and answer.answer_tokens[-1] in stops
    spoken = answer.answer_tokens[:-1] if finished else answer.answer_tokens
    text = tokenizer.decode(list(spoken), skip_special_tokens=True)
    return Response(question.id, answer.prompt_tokens, answer.answer_tokens, text, finished)


def _token_answer(record: Mapping[str, Any], prefixes: Sequence[str], where: str) -> TokenAnswer:
    prefix = next((name for name in prefixes if f"{name}_answer_tokens" in record), prefixes[0])
    prompt = _tokens(record, f"{prefix}_prompt_tokens", where)
    answer = _tokens(record, f"{prefix}_answer_tokens", where)
    key = f"{prefix}_answer_tokens_range"
    stated = record.get(key)
    if stated is not None and list(stated) != [len(prompt), len(prompt) + len(answer)]:
        raise ValueError(
            f"{where}: key {key!r} says {stated}, and the tokens say {[len(prompt), len(prompt) + len(answer)]}"
        )
    return TokenAnswer(prompt, answer, _score(record.get(f"{prefix}_score"), f"{where}: key '{prefix}_score'"))


def _score(value: Any, where: str) -> bool | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(f"{where} should be true or false, found {value!r:.80}")


def _tokens(record: Mapping[str, Any], key: str, where: str) -> tuple[int, ...]:
    tokens = _value(record, (key,), where, list)
    if not all(type(token) is int for token in tokens):
        raise ValueError(f"{where}: key {key!r} should be a list of token numbers")
    return tuple(tokens)


def _value(record: Mapping[str, Any], keys: Sequence[str], where: str, kind: type | None = None) -> Any:
    key = next((key for key in keys if record.get(key) is not None), None)
    if key is None:
        raise ValueError(f"{where}: no key {' or '.join(keys)} (keys found: {', '.join(record) or 'none'})")
    if kind is not None and not isinstance(record[key], kind):
        raise ValueError(f"{where}: key {key!r} should be {kind.__name__}, found {record[key]!r:.80}")
    return record[key]


def _words(text: str) -> str:
    """Without white space, which tokenizers may change at the ends."""
    return "".join(text.split())
