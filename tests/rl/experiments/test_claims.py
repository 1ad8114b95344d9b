"""Verdicts follow from the interval alone."""

import pytest

from jaxeap.rl.experiments.claims import direction, judge


@pytest.mark.parametrize(
    ("interval", "claimed", "verdict"),
    [
        ((0.1, 0.2), 1, "supported"),
        ((0.1, 0.2), -1, "contradicted"),
        ((-0.2, -0.1), -1, "supported"),
        ((-0.2, -0.1), 1, "contradicted"),
        ((-0.1, 0.2), 1, "undecided"),
        ((0.0, 0.2), 1, "undecided"),
        (None, 1, "missing"),
    ],
)
def test_verdict(interval, claimed, verdict):
    assert judge(interval, claimed) == verdict


def test_direction():
    assert [direction(each) for each in ((1, 2), (-2, -1), (-1, 1), None)] == [1, -1, 0, 0]
