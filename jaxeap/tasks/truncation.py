"""One selection at several truncation lengths, and what of it has to be scored more than once.

An edge's score is linear in the loss, and the loss at T_cut is the mean over the first T_cut tokens. Scores at another
length are therefore those of another mean, of which the backward pass at the longest length keeps no parts: they have
to be computed for each length. Only where two lengths count the very same tokens of an answer, because it is shorter
than both or both round to one T_cut, is a score at one the score at the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxeap.tasks.correctness import CORRECTNESS_CLASSES
from jaxeap.tasks.grading import Verdict
from jaxeap.tasks.responses import Response
from jaxeap.tasks.selection import (
    CutSequence,
    EmptySelectionError,
    Role,
    Selection,
    SelectionOptions,
    select_pairs,
)

ALPHAS = (0.03, 0.1, 0.3, 0.5, 1.0)
"""The paper's four, and the whole reference length."""


@dataclasses.dataclass(frozen=True)
class TruncationSweep:
    """The same questions at several truncation lengths.

    Attributes:
      selections: one for each alpha, in the order that was asked for; they differ in T_cut alone.
    """

    selections: tuple[Selection, ...]

    def to_score(self, role: Role) -> tuple[CutSequence, ...]:
        """The different sequences of a role's answers: scoring these is enough for all of the selections."""
        return tuple(dict.fromkeys(cut for selection in self.selections for cut in _cuts(selection, role)))

    def places(self, role: Role) -> tuple[tuple[int, ...], ...]:
        """For each selection, where the sequence of each of its questions stands in `to_score(role)`."""
        place_of = {cut: place for place, cut in enumerate(self.to_score(role))}
        return tuple(tuple(place_of[cut] for cut in _cuts(selection, role)) for selection in self.selections)


def sweep_truncation(
    base: Sequence[Response],
    tuned: Sequence[Response],
    base_verdicts: Sequence[Verdict],
    tuned_verdicts: Sequence[Verdict],
    options: SelectionOptions,
    alphas: Sequence[float] = ALPHAS,
) -> TruncationSweep:
    """Selects at every alpha; arguments and errors as of `select_pairs`, whose `options.alpha` is not used.

    Raises:
      ValueError: there is no alpha, or one comes twice; and as `select_pairs`.
    """
    if not alphas or len(set(alphas)) < len(alphas):
        raise ValueError(f"a sweep needs different values of alpha, at least one; found {tuple(alphas)}")
    selections = tuple(
        select_pairs(base, tuned, base_verdicts, tuned_verdicts, dataclasses.replace(options, alpha=alpha))
        for alpha in alphas
    )
    return TruncationSweep(selections)


def select_classes(
    base: Sequence[Response],
    tuned: Sequence[Response],
    base_verdicts: Sequence[Verdict],
    tuned_verdicts: Sequence[Verdict],
    options: SelectionOptions,
) -> dict[str, Selection | EmptySelectionError]:
    """The selection of each correctness class, or why it is empty; arguments as of `select_pairs`.

    Every class has a reference length of its own, so T_cut differs between them.
    """
    chosen: dict[str, Selection | EmptySelectionError] = {}
    for name in CORRECTNESS_CLASSES:
        try:
            chosen[name] = select_pairs(
                base, tuned, base_verdicts, tuned_verdicts, dataclasses.replace(options, correctness=name)
            )
        except EmptySelectionError as error:
            chosen[name] = error
    return chosen


def _cuts(selection: Selection, role: Role) -> list[CutSequence]:
    return [getattr(question, role) for question in selection.questions]
