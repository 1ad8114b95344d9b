"""What a model answered, token by token."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from jaxeap.tasks.jsonl import read_records, write_records


@dataclass(frozen=True)
class Response:
    """One model's answer to one question.

    Attributes:
      question_id: the `Question.id` that was asked.
      prompt_tokens: exactly what the model was given, special tokens included.
      answer_tokens: exactly what it produced, with the end-of-text token where it produced one.
      text: the answer decoded without special tokens.
      finished: the model ended the answer itself, rather than meeting the length limit.
    """

    question_id: str
    prompt_tokens: tuple[int, ...]
    answer_tokens: tuple[int, ...]
    text: str
    finished: bool


def read_responses(path: str | os.PathLike[str]) -> list[Response]:
    """Reads responses from JSON lines; FileNotFoundError or ValueError name the file, line and key at fault."""
    return read_records(path, Response)


def write_responses(path: str | os.PathLike[str], responses: Iterable[Response]) -> None:
    """Writes responses as JSON lines, under a temporary name until complete."""
    write_records(path, responses)
