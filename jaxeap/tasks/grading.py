"""Grading: whether a response answers its question."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from jaxeap.tasks.jsonl import read_records, write_records
from jaxeap.tasks.questions import Question
from jaxeap.tasks.responses import Response


@dataclass(frozen=True)
class Verdict:
    """The grade of one response: whether it is correct, and which part of its text was compared (None: none found)."""

    question_id: str
    correct: bool
    extracted: str | None


def exact(answer: str, text: str) -> tuple[bool, str | None]:
    """Compares the texts without their outer white space, character by character."""
    extracted = text.strip()
    return extracted == answer.strip(), extracted


def result(answer: str, text: str) -> tuple[bool, str | None]:
    """Compares what stands after the last colon, where the steps before it end; without a colon there is no result."""
    _, mark, extracted = text.rpartition(":")
    return bool(mark) and extracted.strip() == answer.strip(), extracted.strip() if mark else None


# A grader takes (reference answer, response text) and returns (correct, what was compared).
GRADERS: dict[str, Callable[[str, str], tuple[bool, str | None]]] = {"exact": exact, "result": result}


def grade(question: Question, response: Response, grader: str = "exact") -> Verdict:
    """Grades one response. An unfinished answer is wrong whatever its text, for its end is not known.

    Raises:
      ValueError: there is no such grader, or the response is to another question.
    """
    if grader not in GRADERS:
        raise ValueError(f"unknown grader {grader!r}; known graders: {', '.join(sorted(GRADERS))}")
    if response.question_id != question.id:
        raise ValueError(f"the response is to question {response.question_id!r}, not to {question.id!r}")
    matches, extracted = GRADERS[grader](question.answer, response.text)
    return Verdict(question.id, matches and response.finished, extracted)


def grade_responses(
    questions: Iterable[Question], responses: Sequence[Response], grader: str = "exact"
) -> list[Verdict]:
    """Grades responses against the questions of the same ids; one verdict a response, in the order of the responses.

    Raises:
      ValueError: there is no such grader, or a response is to a question that is not among the questions.
    """
    by_id = {question.id: question for question in questions}
    if strangers := [response.question_id for response in responses if response.question_id not in by_id]:
        raise ValueError(
            f"{len(strangers)} of {len(responses)} responses are to unknown questions (first: {strangers[0]!r}); "
            "grade them against the questions that were asked"
        )
    return [grade(by_id[response.question_id], response, grader) for response in responses]


def read_verdicts(path: str | os.PathLike[str]) -> list[Verdict]:
    """Reads verdicts from JSON lines; FileNotFoundError or ValueError name the file, line and key at fault."""
    return read_records(path, Verdict)


def write_verdicts(path: str | os.PathLike[str], verdicts: Iterable[Verdict]) -> None:
    """Writes verdicts as JSON lines, under a temporary name until complete."""
    write_records(path, verdicts)
