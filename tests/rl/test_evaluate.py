"""Accuracy, with answers that are known."""

import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.evaluate import Accuracy, measure_accuracy
from jaxeap.sampling.respond import respond
from jaxeap.tasks.questions import Question
from jaxeap.tasks.tokenizer import arithmetic_tokenizer


def test_shares_by_level_and_overall() -> None:
    accuracy = Accuracy({"easy": 3, "hard": 0}, {"easy": 4, "hard": 6})
    assert accuracy.overall == pytest.approx(0.3)
    assert accuracy.by_level == {"easy": 0.75, "hard": 0.0}


def test_accuracy_counts_right_finished_answers(model: Decoder) -> None:
    tokenizer = arithmetic_tokenizer()
    asked = [Question(f"{a}", f"{a}+11=", "-", level="odd" if a % 2 else "even") for a in range(10, 40)]
    options = dict(max_new_tokens=8, temperature=1.0, seed=0)
    responses = respond(model, tokenizer, asked, **options)
    # Every second question is made one that the model happens to answer right, as far as its answer ends.
    key = [
        Question(q.id, q.question, response.text if place % 3 == 0 else "none of that", q.level)
        for place, (q, response) in enumerate(zip(asked, responses, strict=True))
    ]
    right = [place % 3 == 0 and response.finished for place, response in enumerate(responses)]
    assert 0 < sum(right) < 10
    accuracy = measure_accuracy(model, tokenizer, key, **options)
    for level in ("odd", "even"):
        of_level = [is_right for q, is_right in zip(key, right, strict=True) if q.level == level]
        assert (accuracy.right[level], accuracy.asked[level]) == (sum(of_level), len(of_level))


def test_no_questions_are_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="no questions"):
        measure_accuracy(model, arithmetic_tokenizer(), [], max_new_tokens=4)
