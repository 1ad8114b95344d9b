"""Questions with their reference answers, read from JSON lines in the field names in which public sets circulate."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jaxeap.tasks.jsonl import read_jsonl, write_records

# The keys under which public sets keep each field, the first one present wins. GSM8K, College Math: question, answer;
# MATH, AIME, AMC: problem, answer; OlympiadBench: question, final_answer.
FIELD_NAMES = {
    "id": ("id", "unique_id", "idx"),
    "question": ("question", "problem"),
    "answer": ("answer", "final_answer"),
    "level": ("level",),
    "subject": ("subject", "type", "subfield", "data_topic"),
    "source": ("source", "data_source"),
}
REQUIRED_FIELDS = ("question", "answer")


@dataclass(frozen=True)
class Question:
    """One question of a set.

    Attributes:
      id: unique within its set; stable across runs, since responses, verdicts and scores are matched by it.
      question: the text as the set gives it, before any prompt template.
      answer: the reference answer that a grader compares with, without worked solution.
      level: difficulty, in the set's own terms; "" where it has none.
      subject: field or kind of question; "" where there is none.
      source: the set that it comes from.
    """

    id: str
    question: str
    answer: str
    level: str = ""
    subject: str = ""
    source: str = ""


def read_questions(path: str | os.PathLike[str]) -> list[Question]:
    """Reads questions from JSON lines, with any of the keys in `FIELD_NAMES`; other keys are left aside.

    A record without an id is numbered by its line (from 1). Numbers become text (27.0 becomes "27"), and of an answer
    that ends in "#### x" (GSM8K's worked solutions) only x is kept.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: a record has no question or answer, or one of the wrong type; two records have the same id; the file
        holds no record. The message names line and key.
    """
    questions: list[Question] = []
    line_of_id: dict[str, int] = {}
    for line, record in read_jsonl(path):
        question = _question(record, line, f"{path}, line {line}")
        if question.id in line_of_id:
            first = line_of_id[question.id]
            raise ValueError(f"{path}, line {line}: id {question.id!r} was used on line {first}; ids must be unique")
        line_of_id[question.id] = line
        questions.append(question)
    if not questions:
        raise ValueError(f"{path}: the file holds no questions")
    return questions


def write_questions(path: str | os.PathLike[str], questions: Iterable[Question]) -> None:
    """Writes the questions as JSON lines for `read_questions`, under a temporary name until complete."""
    write_records(path, questions)


def _question(record: dict[str, Any], line: int, where: str) -> Question:
    fields = {}
    for field, keys in FIELD_NAMES.items():
        key = next((key for key in keys if record.get(key) is not None), None)
        if key is not None:
            fields[field] = _text(record[key], f"{where}, key {key!r}")
    fields["id"] = fields.get("id") or str(line)
    for field in REQUIRED_FIELDS:
        if not fields.get(field, "").strip():
            raise ValueError(
                f"{where}: no {field} (looked for the keys {', '.join(FIELD_NAMES[field])}; "
                f"the record has {', '.join(record) or 'none'})"
            )
    fields["answer"] = _final_answer(fields["answer"])
    return Question(**fields)


def _text(value: Any, where: str) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{where}: expected text or a number, found {value!r:.80}")


def _final_answer(answer: str) -> str:
    """The reference answer without the worked solution that GSM8K puts before it."""
    _, mark, final = answer.rpartition("####")
    return final.strip() if mark else answer
