"""Levels of difficulty whose changes differ in sign."""

import pytest

from jaxeap.metrics.controls import opposite_levels


def level(name: str, low: float, high: float, examples: int, relative: bool = True) -> dict:
    middle = (low + high) / 2
    return {
        "member": name, "difference": middle, "relative_change": middle if relative else None, "examples": examples,
        "interval": {"low": low, "high": high},
    }  # fmt: skip


def test_both_sure_says_the_changes_the_numbers_and_that_both_intervals_leave_0_out():
    found = opposite_levels([level("no_carry", 0.2, 2.0, 152), level("carry", -1.0, -0.74, 13)])
    assert found is not None and found["sure"]
    assert "in opposite directions (+110% on 152 questions (no_carry), -87% on 13 questions (carry)" in found["text"]
    assert "; both intervals leave 0 out)" in found["text"]


@pytest.mark.parametrize("hard", [(-1.0, 0.5), (-1.0, 0.0)])
def test_an_interval_that_holds_0_makes_it_unsure(hard):
    found = opposite_levels([level("easy", 0.2, 0.4, 1000), level("hard", *hard, 1)])
    assert found is not None and not found["sure"]
    assert "+30% on 1,000 questions (easy) whose interval lies above 0" in found["text"]
    assert "on 1 question (hard) whose interval holds 0" in found["text"]


def test_an_unsure_level_beside_two_sure_ones_is_named_as_such():
    rows = [level("1", 0.2, 0.4, 5), level("2", -0.1, 0.2, 5), level("3", -0.08, -0.04, 5, relative=False)]
    found = opposite_levels(rows)
    assert found is not None and found["sure"]
    assert "+5.0% on 5 questions (2) whose interval holds 0" in found["text"]
    assert "-0.06 on 5 questions (3) whose interval lies below 0" in found["text"]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [level("1", 0.2, 0.4, 5)],
        [level("1", 0.2, 0.4, 5), level("2", 0.0, 0.1, 5)],
        [level("1", 0.2, 0.4, 5), level("2", -1.0, 1.0, 5)],  # a difference of exactly 0
        [level("1", 0.2, 0.4, 5), level("2", -1.0, 1.0, 5) | {"difference": None, "interval": None}],
    ],
)
def test_the_same_sign_or_none_is_silent(rows):
    assert opposite_levels(rows) is None


def test_of_many_levels_the_largest_are_listed_and_both_signs():
    rows = [level(str(place), 0.2, 0.4, 100 - place) for place in range(9)] + [level("odd", -0.4, -0.2, 1)]
    found = opposite_levels(rows)
    assert found is not None
    assert found["text"].count(" on ") == 6 + 1  # "hangs on"
    assert "(odd)" in found["text"] and "and 4 levels more" in found["text"]
