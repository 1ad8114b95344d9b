"""Grading: whether a response answers its question."""

import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from jaxeap.tasks.jsonl import read_records, write_records
from jaxeap.tasks.judgement import Judgement
from jaxeap.tasks.math_grading import grade_math
from jaxeap.tasks.questions import Question
from jaxeap.tasks.responses import Response
from jaxeap.tasks.text_graders import boolean, choice, exact, result, short

Grader = Callable[[str, str], Judgement]
"""(reference answer, response text) -> what to say of it."""

TEXT_GRADERS: Mapping[str, Grader] = types.MappingProxyType(
    {"exact": exact, "result": result, "choice": choice, "boolean": boolean, "short": short}
)
MATH = "math"
GRADERS = (*TEXT_GRADERS, MATH)
"""Names of graders; all but `math` are functions of the two texts alone."""
UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Verdict:
    """The grade of one response.

    Attributes:
      question_id: the `Question.id` that it answers.
      correct: whether it is right.
      extracted: which part of its text was compared; None where none was found.
      note: why the text did not decide: "unfinished", "time limit", or an error of the grader; "" otherwise.
    """

    question_id: str
    correct: bool
    extracted: str | None
    note: str = ""


def grade(question: Question, response: Response, grader: str = "exact") -> Verdict:
    """Grades one response; see `grade_responses`."""
    if response.question_id != question.id:
        raise ValueError(f"the response is to question {response.question_id!r}, not to {question.id!r}")
    return grade_responses([question], [response], grader)[0]


def grade_responses(
    questions: Iterable[Question],
    responses: Sequence[Response],
    grader: str = "exact",
    *,
    seconds: float = 10.0,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Verdict]:
    """Grades responses against the questions of the same ids; one verdict a response, in the order of the responses.

    An unfinished answer is wrong whatever its text, for its end is not known.

    Args:
      questions: with their reference answers.
      responses: to some of them, several to one if need be.
      grader: one of `GRADERS`.
      seconds, workers: of the grader `math`, as of `grade_math`; the others need neither.
      advance: called with the number of responses that were graded since the last call.

    Raises:
      ValueError: there is no such grader, or what it needs is not installed; a response is to a question that is not
        among the questions.
    """
    if grader not in GRADERS:
        raise ValueError(f"unknown grader {grader!r}; known graders: {', '.join(sorted(GRADERS))}")
    by_id = {question.id: question for question in questions}
    if strangers := [response.question_id for response in responses if response.question_id not in by_id]:
        raise ValueError(
            f"{len(strangers)} of {len(responses)} responses are to unknown questions (first: {strangers[0]!r}); "
            "grade them against the questions that were asked"
        )
    answers = [(by_id[response.question_id].answer, response.text) for response in responses]
    if grader == MATH:
        judgements = grade_math(answers, seconds=seconds, workers=workers, advance=advance)
    else:
        judgements = [TEXT_GRADERS[grader](*answer) for answer in answers]
        advance(len(answers))
    return [_verdict(response, judgement) for response, judgement in zip(responses, judgements, strict=True)]


def _verdict(response: Response, judgement: Judgement) -> Verdict:
    note = judgement.note if response.finished else UNFINISHED
    return Verdict(response.question_id, judgement.correct and response.finished, judgement.extracted, note)


def read_verdicts(path: str | os.PathLike[str]) -> list[Verdict]:
    """Reads verdicts from JSON lines; FileNotFoundError or ValueError name the file, line and key at fault."""
    return read_records(path, Verdict)


def write_verdicts(path: str | os.PathLike[str], verdicts: Iterable[Verdict]) -> None:
    """Writes verdicts as JSON lines, under a temporary name until complete."""
    write_records(path, verdicts)
