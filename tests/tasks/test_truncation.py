"""Sweeps over the truncation length and over the correctness classes."""

import numpy as np
import pytest

from jaxeap.tasks.correctness import CORRECTNESS_CLASSES
from jaxeap.tasks.grading import Verdict
from jaxeap.tasks.responses import Response
from jaxeap.tasks.selection import EmptySelectionError, SelectionOptions, select_pairs
from jaxeap.tasks.truncation import ALPHAS, select_classes, sweep_truncation


@pytest.fixture
def answered():
    rng = np.random.default_rng(0)
    ids = [f"q{n}" for n in range(40)]
    lengths = rng.integers(8, 16, (40, 2))
    responses = [
        [
            Response(id_, (1, 2), tuple(rng.integers(3, 9, length).tolist()), "", True)
            for id_, length in zip(ids, column, strict=True)
        ]
        for column in lengths.T
    ]
    verdicts = [
        [Verdict(id_, bool(right), None) for id_, right in zip(ids, rng.random(40) < 0.7, strict=True)]
        for _ in range(2)
    ]
    return *responses, *verdicts


def test_each_alpha_is_the_selection_at_that_alpha(answered):
    sweep = sweep_truncation(*answered, SelectionOptions(max_pairs=7))
    assert len(sweep.selections) == len(ALPHAS) == 5
    for alpha, selection in zip(ALPHAS, sweep.selections, strict=True):
        assert selection == select_pairs(*answered, SelectionOptions(alpha=alpha, max_pairs=7))
        assert selection.question_ids == sweep.selections[0].question_ids


@pytest.mark.parametrize("role", ["base", "tuned"])
def test_what_counts_the_same_tokens_is_scored_once_and_all_else_for_each_length(answered, role):
    # Lengths of about 11: 0.03 and 0.05 both count one token, 2.0 and 3.0 every token of every answer.
    alphas = (0.03, 0.05, 0.5, 2.0, 3.0)
    sweep = sweep_truncation(*answered, SelectionOptions(), alphas)
    to_score, places = sweep.to_score(role), sweep.places(role)
    assert len(set(to_score)) == len(to_score)
    assert places[0] == places[1]
    assert places[3] == places[4]
    assert not set(places[0]) & set(places[2])
    for selection, row in zip(sweep.selections, places, strict=True):
        assert [list(to_score[place].tokens) for place in row] == selection.sequences(role)
        assert [(to_score[place].start, to_score[place].stop) for place in row] == selection.counted(role)


def test_values_of_alpha_must_differ(answered):
    for alphas in ((), (0.1, 0.1)):
        with pytest.raises(ValueError, match="different values of alpha"):
            sweep_truncation(*answered, SelectionOptions(), alphas)


def test_all_four_classes_share_out_the_questions(answered):
    base, tuned, base_verdicts, tuned_verdicts = answered
    chosen = select_classes(*answered, SelectionOptions(beta=0, gamma=9, delta=2))
    assert tuple(chosen) == CORRECTNESS_CLASSES
    ids = [id_ for selection in chosen.values() for id_ in selection.question_ids]
    assert sorted(ids) == sorted(response.question_id for response in base)
    right = {v.question_id for v in base_verdicts if v.correct}, {v.question_id for v in tuned_verdicts if v.correct}
    assert set(chosen["only_tuned_right"].question_ids) == right[1] - right[0]
    for name, selection in chosen.items():
        assert selection.account[0].filter == name
    all_right = [Verdict(v.question_id, True, None) for v in base_verdicts]
    chosen = select_classes(base, tuned, all_right, all_right, SelectionOptions())
    assert isinstance(chosen["both_wrong"], EmptySelectionError)
    assert "removed     40" in str(chosen["both_wrong"])
