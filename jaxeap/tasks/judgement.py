"""What a grader says of one answer."""

from typing import NamedTuple


class Judgement(NamedTuple):
    """Whether an answer is correct, what of its text was compared (None: nothing was found), and a remark on how."""

    correct: bool
    extracted: str | None
    note: str = ""
