"""Which questions two models are compared on, and how much of their answers counts (the paper's selection).

Where the text of arXiv 2509.21044 leaves a choice open, this follows the code that accompanies it, so that one file
of responses gives the same questions and the same truncation (beta 0.5, gamma 1.5, delta 0.5, 100 questions, seed 42):

  - The reference length is the smaller of the two models' mean answer lengths, the means taken over the questions of
    the correctness class, before any other filter. Lengths are in tokens, the end-of-text token included.
  - The length held against [beta, gamma] times the reference length is the mean of the question's two answers; the
    limits are rounded down to whole tokens, and both are inside.
  - The relative difference of the two answers' lengths is divided by their mean (so it is between 0 and 2); a pair at
    delta itself is kept.
  - T_cut = max(1, alpha times the reference length, rounded down), one number for all questions and both models.
  - The sample is Python's `random.Random(seed).sample` over what is left, here put back into the order of asking.

Two departures: prompts are compared token by token, and by default a difference is an error instead of a filter (the
paper's code leaves out prompts of unequal length, which `unequal_prompts="drop_lengths"` does); and a question with an
empty answer is left out, since no token of it could be counted.

Which questions are kept does not depend on alpha, so a sweep over alpha compares the same questions (see
`jaxeap.tasks.truncation`).
"""

import dataclasses
import json
import math
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from jaxeap.tasks.correctness import (
    CORRECTNESS_CLASSES,
    by_question_id,
    correctness_classes,
    count_classes,
    require_same_ids,
)
from jaxeap.tasks.grading import Verdict
from jaxeap.tasks.jsonl import replacing
from jaxeap.tasks.responses import Response

UNEQUAL_PROMPTS = ("refuse", "drop", "drop_lengths")
Role = Literal["base", "tuned"]


@dataclass(frozen=True)
class SelectionOptions:
    """What to select; the defaults are the paper's.

    Attributes:
      correctness: one of both_right, both_wrong, only_base_right, only_tuned_right.
      beta, gamma: limits of the mean answer length, in reference lengths.
      delta: largest relative difference of the two answers' lengths.
      alpha: the share of the reference length that is counted (paper: 0.03, 0.1, 0.3 and 0.5).
      max_pairs: how many questions to draw (paper: 100); None takes all.
      seed: of that draw.
      unequal_prompts: "refuse" raises where the models were not given the same tokens, "drop" leaves the question out,
        "drop_lengths" leaves it out only where their numbers differ (as in the paper's code).
    """

    correctness: str = "both_right"
    beta: float = 0.5
    gamma: float = 1.5
    delta: float = 0.5
    alpha: float = 0.1
    max_pairs: int | None = None
    seed: int = 42
    unequal_prompts: str = "refuse"

    def __post_init__(self) -> None:
        classes, unequal = ", ".join(CORRECTNESS_CLASSES), ", ".join(UNEQUAL_PROMPTS)
        checks = {
            f"correctness must be one of {classes}, and is {self.correctness!r}": (
                self.correctness in CORRECTNESS_CLASSES
            ),
            f"beta and gamma must be finite, with 0 <= beta <= gamma, and are {self.beta} and {self.gamma}": (
                0 <= self.beta <= self.gamma < math.inf
            ),
            f"delta must be finite and 0 or more, and is {self.delta}": 0 <= self.delta < math.inf,
            f"alpha must be finite and above 0, and is {self.alpha}": 0 < self.alpha < math.inf,
            f"max_pairs must be None or 1 or more, and is {self.max_pairs}": (
                self.max_pairs is None or self.max_pairs >= 1
            ),
            f"seed must be 0 or more, and is {self.seed}": self.seed >= 0,
            f"unequal_prompts must be one of {unequal}, and is {self.unequal_prompts!r}": (
                self.unequal_prompts in UNEQUAL_PROMPTS
            ),
        }
        if broken := [rule for rule, holds in checks.items() if not holds]:
            raise ValueError("; ".join(broken))


class FilterCount(NamedTuple):
    """What one filter did: how many questions it removed and how many it left."""

    filter: str
    removed: int
    left: int


@dataclass(frozen=True)
class CutSequence:
    """A prompt with the beginning of its answer; tokens[start:stop] are counted, start being the prompt's length."""

    tokens: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class SelectedQuestion:
    """One question with what either model made of it."""

    question_id: str
    base: CutSequence
    tuned: CutSequence


@dataclass(frozen=True)
class Selection:
    """The questions to compare, in the order of asking, and how they were found.

    Attributes:
      options: as given.
      reference_length: in tokens.
      cut_length: T_cut in tokens; an answer that is shorter counts whole.
      account: what each filter removed and left, in order.
      questions: never empty.
    """

    options: SelectionOptions
    reference_length: float
    cut_length: int
    account: tuple[FilterCount, ...]
    questions: tuple[SelectedQuestion, ...]

    @property
    def question_ids(self) -> list[str]:
        return [question.question_id for question in self.questions]

    def sequences(self, role: Role) -> list[list[int]]:
        """The token lists of the "base" or the "tuned" model's answers, one a question."""
        return [list(getattr(question, role).tokens) for question in self.questions]

    def counted(self, role: Role) -> list[tuple[int, int]]:
        """The (start, stop) of the counted tokens in each of `sequences(role)`."""
        return [(getattr(question, role).start, getattr(question, role).stop) for question in self.questions]


class EmptySelectionError(ValueError):
    """No question is left to compare; the message holds the account and the remedy."""


def select_pairs(
    base: Sequence[Response],
    tuned: Sequence[Response],
    base_verdicts: Sequence[Verdict],
    tuned_verdicts: Sequence[Verdict],
    options: SelectionOptions,
) -> Selection:
    """Selects the questions to compare and cuts their answers; the module's docstring has the rules.

    Args:
      base, tuned: one response a question from either model, about the same questions in any order.
      base_verdicts, tuned_verdicts: their grades.
      options: what to select.

    Raises:
      EmptySelectionError: a filter left nothing.
      ValueError: responses and verdicts are not about the same questions, a prompt is empty, or (unless they are to
        be dropped) two prompts differ.
    """
    base_of, tuned_of = by_question_id(base, "base responses"), by_question_id(tuned, "tuned responses")
    classes = correctness_classes(base_verdicts, tuned_verdicts)
    require_same_ids({"base responses": base_of, "tuned responses": tuned_of, "verdicts": classes})
    for id_, response in base_of.items():
        if not response.prompt_tokens:
            raise ValueError(f"question {id_!r}: the prompt has no token, so nothing predicts the answer's first")
        if options.unequal_prompts == "refuse":
            _require_equal_prompts(response, tuned_of[id_])

    account: list[FilterCount] = []
    left = _keep(
        list(base_of),
        account,
        options.correctness,
        lambda id_: classes[id_] == options.correctness,
        "ask more questions, or select another correctness class; there are "
        + ", ".join(f"{count} {name}" for name, count in count_classes(classes).items()),
    )
    base_length = {id_: len(base_of[id_].answer_tokens) for id_ in left}
    tuned_length = {id_: len(tuned_of[id_].answer_tokens) for id_ in left}
    mean_length = {id_: (base_length[id_] + tuned_length[id_]) / 2 for id_ in left}
    reference = min(sum(base_length.values()), sum(tuned_length.values())) / len(left)
    shortest, longest = int(options.beta * reference), int(options.gamma * reference)
    cut = max(1, int(options.alpha * reference))

    filters: list[tuple[str, Callable[[str], bool], str]] = [
        (
            "neither answer empty",
            lambda id_: min(base_length[id_], tuned_length[id_]) > 0,
            "allow the models longer answers, and check that the prompt does not end in the end-of-text token",
        ),
        (
            "prompts of equal length" if options.unequal_prompts == "drop_lengths" else "equal prompts",
            lambda id_: _prompts_agree(base_of[id_], tuned_of[id_], options),
            "ask both models with one tokenizer and one prompt template",
        ),
        (
            f"mean answer length {shortest} to {longest}",
            lambda id_: shortest <= mean_length[id_] <= longest,
            f"lower beta ({options.beta}), raise gamma ({options.gamma}) or ask more questions",
        ),
        (
            f"relative length difference at most {options.delta}",
            lambda id_: abs(base_length[id_] - tuned_length[id_]) / mean_length[id_] <= options.delta,
            f"raise delta ({options.delta}) or ask more questions",
        ),
    ]
    for name, keeps, remedy in filters:
        left = _keep(left, account, name, keeps, remedy)
    if options.max_pairs is not None and options.max_pairs < len(left):
        drawn = set(random.Random(options.seed).sample(left, options.max_pairs))
        left = _keep(left, account, f"sample of {options.max_pairs}", drawn.__contains__, "raise max_pairs")

    return Selection(
        options=options,
        reference_length=reference,
        cut_length=cut,
        account=tuple(account),
        questions=tuple(SelectedQuestion(id_, _cut(base_of[id_], cut), _cut(tuned_of[id_], cut)) for id_ in left),
    )


def format_account(account: Sequence[FilterCount]) -> str:
    """The account as lines of text to print, one a filter."""
    rows = [("questions answered by both", 0, account[0].removed + account[0].left), *account]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(f"{name:<{width}}  removed {removed:>6}  left {left:>6}" for name, removed, left in rows)


def write_selection(path: str | os.PathLike[str], selection: Selection) -> None:
    """Writes the selection as JSON, under a temporary name until complete."""
    record = dataclasses.asdict(selection) | {"account": [count._asdict() for count in selection.account]}
    with replacing(path) as file:
        json.dump(record, file, allow_nan=False)
        file.write("\n")


def read_selection(path: str | os.PathLike[str]) -> Selection:
    """Reads what `write_selection` wrote, as an equal Selection.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is not a selection.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file (expected a selection)")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return Selection(
            options=SelectionOptions(**record["options"]),
            reference_length=record["reference_length"],
            cut_length=record["cut_length"],
            account=tuple(FilterCount(**count) for count in record["account"]),
            questions=tuple(
                SelectedQuestion(
                    question["question_id"], _cut_sequence(question["base"]), _cut_sequence(question["tuned"])
                )
                for question in record["questions"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a selection ({error!r}); delete it and select again") from error


def _cut_sequence(record: dict) -> CutSequence:
    return CutSequence(tuple(record["tokens"]), record["start"], record["stop"])


def _keep(
    questions: list[str], account: list[FilterCount], name: str, keeps: Callable[[str], bool], remedy: str
) -> list[str]:
    """The question ids that pass; enters the filter in the account, and raises where none is left."""
    left = [id_ for id_ in questions if keeps(id_)]
    account.append(FilterCount(name, len(questions) - len(left), len(left)))
    if not left:
        raise EmptySelectionError(f"no question is left to compare\n{format_account(account)}\nRemedy: {remedy}")
    return left


def _cut(response: Response, cut_length: int) -> CutSequence:
    tokens = response.prompt_tokens + response.answer_tokens[:cut_length]
    return CutSequence(tokens, start=len(response.prompt_tokens), stop=len(tokens))


def _prompts_agree(base: Response, tuned: Response, options: SelectionOptions) -> bool:
    if options.unequal_prompts == "drop_lengths":
        return len(base.prompt_tokens) == len(tuned.prompt_tokens)
    return base.prompt_tokens == tuned.prompt_tokens


def _require_equal_prompts(base: Response, tuned: Response) -> None:
    a, b = base.prompt_tokens, tuned.prompt_tokens
    if a == b:
        return
    position = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    token_a, token_b = (repr(t[position]) if position < len(t) else "the prompt's end" for t in (a, b))
    raise ValueError(
        f"question {base.question_id!r}: the models were given different prompts ({len(a)} and {len(b)} tokens); "
        f"first difference at token {position}: base {token_a}, tuned {token_b}. Ask both with one tokenizer and one "
        "prompt template, or select with unequal_prompts='drop'"
    )
