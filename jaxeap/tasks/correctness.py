"""The four correctness classes of a question that two models answered."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from jaxeap.tasks.grading import Verdict

CORRECTNESS_CLASSES = ("both_right", "both_wrong", "only_base_right", "only_tuned_right")

_CLASS_OF = {
    (True, True): "both_right",
    (False, False): "both_wrong",
    (True, False): "only_base_right",
    (False, True): "only_tuned_right",
}


class HasQuestionId(Protocol):
    """A response or a verdict."""

    @property
    def question_id(self) -> str: ...


Answered = TypeVar("Answered", bound=HasQuestionId)


def correctness_classes(base: Sequence[Verdict], tuned: Sequence[Verdict]) -> dict[str, str]:
    """The class of each question id, in the order of the base model's verdicts.

    Raises:
      ValueError: a question was graded twice for one model, or for one model only.
    """
    base_of, tuned_of = by_question_id(base, "base verdicts"), by_question_id(tuned, "tuned verdicts")
    require_same_ids({"base verdicts": base_of, "tuned verdicts": tuned_of})
    return {id_: _CLASS_OF[verdict.correct, tuned_of[id_].correct] for id_, verdict in base_of.items()}


def count_classes(classes: Mapping[str, str]) -> dict[str, int]:
    """How many questions are in each of the four classes, those with none included."""
    counts = Counter(classes.values())
    return {name: counts[name] for name in CORRECTNESS_CLASSES}


def by_question_id(items: Iterable[Answered], what: str) -> dict[str, Answered]:
    """The items keyed by question id, in their order; ValueError where an id comes twice."""
    keyed: dict[str, Answered] = {}
    for item in items:
        if item.question_id in keyed:
            raise ValueError(f"{what}: question {item.question_id!r} comes twice; the comparison takes one a question")
        keyed[item.question_id] = item
    return keyed


def require_same_ids(keyed: Mapping[str, Mapping[str, object]]) -> None:
    """Raises ValueError where the mappings (named by their keys) are not about the same questions."""
    (first_name, first), *others = keyed.items()
    for name, other in others:
        if odd := sorted(first.keys() ^ other.keys()):
            holder, lacking = (first_name, name) if odd[0] in first else (name, first_name)
            raise ValueError(
                f"{first_name} and {name} differ in {len(odd)} question(s): {odd[0]!r} is in the {holder} and not in "
                f"the {lacking}; both models must answer the same questions"
            )
