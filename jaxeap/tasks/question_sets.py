"""The question sets of the paper, and two that are not mathematics, each as one entry of a table.

An entry says which keys of the published records hold what, where the set lies on the Hugging Face Hub, and which
grader judges answers to it. `read_question_set` reads a file of JSON lines, `load_question_set` asks the `datasets`
library (requirements/data.txt); both give the same records.
"""

from __future__ import annotations

import dataclasses
import os
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxeap.tasks.final_answer import last_boxed
from jaxeap.tasks.jsonl import read_jsonl
from jaxeap.tasks.questions import Question

Record = Mapping[str, Any]
COMMIT = re.compile(r"[0-9a-f]{40}")
MATH_SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


@dataclasses.dataclass(frozen=True)
class QuestionSet:
    """How the records of a published set become questions.

    Attributes:
      repository: on the Hub.
      grader: one of `jaxeap.tasks.grading.GRADERS`.
      question: from a record to the text that is asked.
      answer: from a record to the reference answer.
      id, level, subject: keys that may hold each, the first present wins; a record without an id is numbered from 1.
      split: the one that is used where none is asked for.
      subsets: parts of the repository that make up the set, in order; (None,) where it has no parts.
    """

    repository: str
    grader: str
    question: Callable[[Record], str]
    answer: Callable[[Record], str]
    id: tuple[str, ...] = ()
    level: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    split: str = "test"
    subsets: tuple[str | None, ...] = (None,)


def read_question_set(name: str, path: str | os.PathLike[str]) -> list[Question]:
    """Reads a published file of JSON lines as the set `name`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: there is no such set; a record lacks a key or has one of the wrong type (file, line and key are
        named); two records have the same id; the file is empty.
    """
    require_question_set(name)
    return _questions(name, ((f"{path}, line {line}", str(line), record) for line, record in read_jsonl(path)))


def load_question_set(name: str, revision: str | None, split: str | None = None) -> list[Question]:
    """Loads the set `name` from the Hugging Face Hub, or from its cache on this machine.

    Args:
      name: a key of `QUESTION_SETS`.
      revision: commit of the repository, all 40 digits: a branch would be another set tomorrow.
      split: the set's usual one where None.

    Raises:
      ValueError: the library `datasets` is missing, no commit is given, or the set cannot be fetched.
    """
    entry = require_question_set(name)
    where = f"{entry.repository} on the Hugging Face Hub"
    if revision is None or not COMMIT.fullmatch(revision):
        raise ValueError(
            f"{name}: found {revision!r} for the revision of {where}; pin it by its full commit hash, which its page "
            "shows under 'Files and versions'"
        )
    try:
        import datasets
    except ImportError as error:
        raise ValueError(
            f"{name}: the library 'datasets' is not installed, so {where} cannot be read; pip install -r "
            "requirements/data.txt, or give a file of JSON lines instead"
        ) from error
    records: list[tuple[str, str, Record]] = []
    for subset in entry.subsets:
        try:
            part = datasets.load_dataset(entry.repository, subset, split=split or entry.split, revision=revision)
        except Exception as error:  # of requests, of the file system and of the library alike
            raise ValueError(
                f"{name}: cannot load {where}{f', subset {subset}' if subset else ''}, split {split or entry.split}, "
                f"revision {revision} ({type(error).__name__}: {error}); without a network, give a file of JSON lines"
            ) from error
        prefix = f"{subset}/" if len(entry.subsets) > 1 else ""
        records += [(f"{where}, record {n}", f"{prefix}{n}", record) for n, record in enumerate(part, start=1)]
    return _questions(name, records)


def require_question_set(name: str) -> QuestionSet:
    """The entry of a set; ValueError where there is none."""
    if name not in QUESTION_SETS:
        raise ValueError(f"unknown question set {name!r}; known sets: {', '.join(QUESTION_SETS)}")
    return QUESTION_SETS[name]


def _questions(name: str, records: Iterable[tuple[str, str, Record]]) -> list[Question]:
    entry = QUESTION_SETS[name]
    questions: dict[str, Question] = {}
    for where, number, record in records:
        try:
            question = Question(
                id=_first(record, entry.id) or number,
                question=entry.question(record).strip(),
                answer=entry.answer(record).strip(),
                level=_first(record, entry.level).removeprefix("Level "),
                subject=_first(record, entry.subject),
                source=name,
            )
        except (KeyError, TypeError, ValueError) as error:
            problem = f"no key {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"{where}: not a record of {name}: {problem} (keys found: {', '.join(record) or 'none'})"
            ) from error
        if not question.question or not question.answer:
            raise ValueError(f"{where}: the {'answer' if question.question else 'question'} is empty")
        if question.id in questions:
            raise ValueError(f"{where}: id {question.id!r} comes twice; ids must be unique")
        questions[question.id] = question
    if not questions:
        raise ValueError(f"{name}: there are no records")
    return list(questions.values())


def _first(record: Record, keys: Sequence[str]) -> str:
    """The value of the first key that is there, as text; "" where none is."""
    return next((str(record[key]) for key in keys if record.get(key) not in (None, "")), "")


def _text(*keys: str) -> Callable[[Record], str]:
    """The text or number under the first of the keys that is there; 27.0 becomes "27"."""

    def read(record: Record) -> str:
        key = next((key for key in keys if record.get(key) is not None), None)
        if key is None:
            raise KeyError(" or ".join(keys))
        value = record[key]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise TypeError(f"key {key!r} should be text or a number, found {value!r:.80}")
        return str(value)

    return read


def _after_hashes(record: Record) -> str:
    """GSM8K's worked solutions end in "#### x"."""
    _, mark, final = _text("answer")(record).rpartition("####")
    if not mark:
        raise ValueError("key 'answer' has no '####' before its result")
    return final


def _answer_or_box(record: Record) -> str:
    """The answer where the set states it, and otherwise the last box of the solution."""
    if record.get("answer") is not None:
        return _text("answer")(record)
    if (boxed := last_boxed(_text("solution")(record))) is None:
        raise ValueError("key 'solution' has no \\boxed{...}")
    return boxed


def _integer(record: Record) -> str:
    """AIME answers are written 033 here and 33 there; AMC answers 27.0 and 27."""
    return str(int(_text("answer")(record)))


def _joined_answers(record: Record) -> str:
    answers = record["final_answer"]
    if not isinstance(answers, list) or not answers or not all(isinstance(answer, str) for answer in answers):
        raise TypeError(f"key 'final_answer' should be a list of texts, found {answers!r:.80}")
    return ", ".join(answers)


def _question_after_context(record: Record) -> str:
    context = record.get("context")
    return f"{context}\n{_text('question')(record)}" if context else _text("question")(record)


def _question_with_choices(record: Record) -> str:
    """The question and its labelled choices, a line each; the Hub's form, and that of the files by their authors."""
    question, choices = record["question"], record.get("choices")
    if isinstance(question, Mapping):
        question, choices = question["stem"], question["choices"]
    if isinstance(choices, Mapping):
        labelled = list(zip(choices["label"], choices["text"], strict=True))
    elif isinstance(choices, list):
        labelled = [(choice["label"], choice["text"]) for choice in choices]
    else:
        raise TypeError(f"key 'choices' should hold labels and texts, found {choices!r:.80}")
    return "\n".join([question, *(f"({label}) {text}" for label, text in labelled)])


def _question_after_passage(record: Record) -> str:
    question = _text("question")(record).strip().rstrip("?")
    return f"{_text('passage')(record).strip()}\nQuestion: {question}? Answer yes or no."


def _yes_or_no(record: Record) -> str:
    if not isinstance(answer := record["answer"], bool):
        raise TypeError(f"key 'answer' should be true or false, found {answer!r:.80}")
    return "yes" if answer else "no"


QUESTION_SETS: Mapping[str, QuestionSet] = types.MappingProxyType(
    {
        "gsm8k": QuestionSet("openai/gsm8k", "math", _text("question"), _after_hashes, id=("idx",), subsets=("main",)),
        "math": QuestionSet(
            "EleutherAI/hendrycks_math",
            "math",
            _text("problem"),
            _answer_or_box,
            id=("unique_id",),
            level=("level",),
            subject=("type", "subject"),
            subsets=MATH_SUBJECTS,
        ),
        "math500": QuestionSet(
            "HuggingFaceH4/MATH-500",
            "math",
            _text("problem"),
            _text("answer"),
            id=("unique_id",),
            level=("level",),
            subject=("subject",),
        ),
        "college_math": QuestionSet(
            "realtreetune/college_math", "math", _text("question", "problem"), _text("answer"), subject=("data_topic",)
        ),
        "minerva_math": QuestionSet(
            "math-ai/minervamath",
            "math",
            _text("question", "problem"),
            _answer_or_box,
            id=("idx",),
            subject=("type",),
        ),
        "olympiadbench": QuestionSet(
            "Hothan/OlympiadBench",
            "math",
            _question_after_context,
            _joined_answers,
            id=("id",),
            subject=("subfield",),
            split="train",
            subsets=("OE_TO_maths_en_COMP",),
        ),
        "aime24": QuestionSet(
            "HuggingFaceH4/aime_2024", "math", _text("problem", "question"), _integer, id=("id",), split="train"
        ),
        "amc23": QuestionSet("math-ai/amc23", "math", _text("question", "problem"), _integer, id=("id",)),
        "arc_challenge": QuestionSet(
            "allenai/ai2_arc",
            "choice",
            _question_with_choices,
            _text("answerKey"),
            id=("id",),
            subsets=("ARC-Challenge",),
        ),
        "boolq": QuestionSet("google/boolq", "boolean", _question_after_passage, _yes_or_no, split="validation"),
    }
)
"""By name. The Hub's revision is no part of an entry: the config of a run pins it."""
