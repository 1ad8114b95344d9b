"""Every rule of the verdict, on evidence made for it."""

import dataclasses

import pytest

from jaxeap.metrics.controls import CLAIMS, Claim, Evidence, judge
from jaxeap.metrics.controls.sides import side

UP = Claim("intensity up", "intensity", 1)


def interval(low: float, high: float) -> dict:
    return {"low": low, "high": high, "confidence": 0.95, "method": "percentile"}


def row(low: float | None, high: float | None, metric: str = "intensity", base: float = 10.0) -> dict:
    difference = None if low is None else (low + high) / 2
    return {
        "metric": metric, "title": metric, "base": base, "tuned": None, "difference": difference,
        "interval": None if low is None else interval(low, high), "examples": 9,
    }  # fmt: skip


def evidence(low: float = 1.0, high: float = 3.0, metric: str = "intensity", **changes) -> Evidence:
    """That supports a claim of `metric` going up."""
    part = {"value": (low + high) / 2, "interval": interval(low, high)}
    made = Evidence(
        headline={metric: row(low, high, metric)},
        two_by_two={metric: {"metric": metric, "model": part}},
        null_split=[
            {"metric": metric, "low": -0.5, "high": 0.5, "from": "base"},
            {"metric": metric, "low": -0.6, "high": 0.6, "from": "tuned"},
            {"metric": "another", "low": -9, "high": 9, "from": "base"},
        ],
        sensitivity=[
            {"setting": "metrics.entries", "value": "all", "default": True, "rows": [row(-1, 1, metric)]},
            {"setting": "metrics.entries", "value": "edges", "default": False, "rows": [row(low, high, metric)]},
        ],
        normalised={name: row(low, high, name) for name in ("intensity_by_loss", "intensity_by_gradient_norm")},
        null_pair={metric: row(low, high, metric)},
        audit={"base": "effects", "tuned": "effects"},
    )
    return dataclasses.replace(made, **changes)


def test_supported_where_everything_agrees():
    verdict = judge(UP, evidence())
    assert verdict["verdict"] == "supported"
    assert verdict["interval"] == interval(1.0, 3.0)
    assert all(control["agrees"] for control in verdict["controls"])
    assert [control["name"] for control in verdict["controls"] if control["required"]] == [
        "model part of the 2x2",
        "null by splitting",
        "null pair",
    ]
    assert verdict["levels"] is None
    assert verdict["reasons"] == [
        "the interval leaves out 0, and every required control agrees, the null pair among them"
    ]


def test_a_claim_of_down_is_the_mirror_image():
    down = Claim("kurtosis down", "kurtosis", -1)
    assert judge(down, evidence(-3.0, -1.0, "kurtosis"))["verdict"] == "supported"
    assert judge(down, evidence(1.0, 3.0, "kurtosis"))["verdict"] == "not supported"
    assert judge(UP, evidence(-3.0, -1.0))["verdict"] == "not supported"


def test_no_difference_at_all_is_not_supported():
    for claim in CLAIMS:
        verdict = judge(claim, evidence(0.0, 0.0, claim.metric))
        assert verdict["verdict"] == "not supported"
        assert verdict["reasons"] == ["the difference is exactly 0"]


@pytest.mark.parametrize(
    ("low", "high", "outcome", "said"),
    [
        (-1.0, 3.0, "undecided", "the interval holds 0"),
        (-0.0, 3.0, "undecided", "the interval holds 0"),
        (-0.05, 0.09, "not supported", "lies within 1% of base's value"),
        (-0.05, 0.11, "undecided", "the interval holds 0"),
        (None, None, "undecided", "has no value"),
    ],
)
def test_an_interval_that_holds_0_decides_only_where_it_is_narrow(low, high, outcome, said):
    found = evidence(headline={"intensity": row(low, high)})
    verdict = judge(UP, found)
    assert verdict["verdict"] == outcome
    assert said in verdict["reasons"][0]


def test_without_an_interval_nothing_is_decided():
    headline = {"intensity": row(1.0, 3.0) | {"interval": None}}
    assert judge(UP, evidence(headline=headline))["verdict"] == "undecided"
    assert judge(UP, evidence(headline={}))["verdict"] == "undecided"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"two_by_two": {}}, "not scored on each other's text"),
        ({"two_by_two": {"intensity": {"model": {"value": 1.0, "interval": interval(-1.0, 3.0)}}}}, "holds 0"),
        ({"two_by_two": {"intensity": {"model": {"value": -2.0, "interval": interval(-3.0, -1.0)}}}}, "lies below 0"),
        ({"null_split": []}, "no null by splitting"),
        ({"null_split": [{"metric": "intensity", "low": -2.5, "high": 2.5, "from": "tuned"}]}, "halves of tuned's"),
        (
            {"null_split": [{"metric": "intensity", "low": 2.1, "high": 2.5, "from": "base"}]},
            "lies not beyond what halves of base's questions differ by in the claimed direction",
        ),
        (
            {"null_pair": {"intensity": row(-0.0004, 0.00149)}},
            "but the difference less the null pair's is +0.000545 [-0.000400, +0.00149], whose interval holds 0",
        ),
        ({"null_pair": {"intensity": row(-3.0, -1.0)}}, "is -2.00 [-3.00, -1.00], whose interval lies below 0"),
        ({"null_pair": {"intensity": row(1.0, 3.0) | {"interval": None}}}, "too few questions to hold the null pair"),
        ({"null_pair": {}}, "no value of this metric"),
        ({"null_pair": {}, "null_pair_missing": "its scores are gone"}, "against this one: its scores are gone"),
    ],
)  # fmt: skip
def test_a_required_control_that_does_not_agree_leaves_it_undecided(changes, said):
    verdict = judge(UP, evidence(**changes))
    assert verdict["verdict"] == "undecided"
    assert any(said in reason for reason in verdict["reasons"])


@pytest.mark.parametrize(("direction", "low", "high"), [(1, 152.0, 153.0), (-1, -153.0, -152.0)])
def test_a_null_pair_agrees_where_the_pair_changed_more_on_the_claimed_side(direction, low, high):
    claim = Claim("a claim", "intensity", direction)
    verdict = judge(claim, evidence(direction * 2 - 1, direction * 2 + 1, null_pair={"intensity": row(low, high)}))
    (control,) = [each for each in verdict["controls"] if each["name"] == "null pair"]
    assert verdict["verdict"] == "supported" and control["agrees"] is control["required"] is True
    said = {1: "+152. [+152, +153], whose interval lies above 0", -1: "-152. [-153, -152], whose interval lies below 0"}
    assert control["detail"].endswith(said[direction].replace(". [", " ["))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sensitivity": [{"setting": "bins", "value": 50, "default": False, "rows": [row(-1.0, 2.0)]}]}, "bins=50"),
        ({"normalised": {"intensity_by_loss": row(-3.0, -1.0)}}, "intensity by loss lies below 0"),
        ({"audit": {"base": "neither", "tuned": "effects"}}, "in base the order of scores follows the effects of"),
    ],
)  # fmt: skip
def test_the_other_controls_qualify_and_do_not_decide(changes, said):
    verdict = judge(UP, evidence(**changes))
    assert verdict["verdict"] == "supported"
    assert any(reason.startswith("but ") and said in reason for reason in verdict["reasons"])


def test_what_was_not_made_is_none():
    verdict = judge(UP, evidence(sensitivity=[], normalised={}, audit={}))
    beside = {control["name"]: control["agrees"] for control in verdict["controls"] if not control["required"]}
    assert beside == dict.fromkeys(["other choices", "intensity_by_loss", "intensity_by_gradient_norm", "audit"])


def test_without_a_null_pair_the_verdict_says_so():
    verdict = judge(UP, evidence(null_pair=None))
    assert verdict["verdict"] == "supported"
    assert "no null pair was given: what plain further training does is not known" in verdict["reasons"]
    (control,) = [each for each in verdict["controls"] if each["name"] == "null pair"]
    assert (control["agrees"], control["required"]) == (None, False)
    assert "config.controls.null_tuned" in control["detail"]


def other_choices(headline: tuple[float, float], *others: tuple[float, float]) -> dict:
    tried = [
        {"setting": "bins", "value": number, "default": False, "rows": [row(*ends)]}
        for number, ends in enumerate(others)
    ]
    verdict = judge(UP, evidence(headline={"intensity": row(*headline)}, sensitivity=tried))
    return next(control for control in verdict["controls"] if control["name"] == "other choices")


@pytest.mark.parametrize("headline", [(-1.0, 3.0), (-3.0, -1.0)])
def test_other_choices_beside_a_headline_that_does_not_hold_itself(headline):
    none = other_choices(headline, (-1.0, 2.0), (-2.0, -1.0))
    assert none["detail"] == "the interval lies on the claimed side under none of 2 other choices"
    some = other_choices(headline, (-1.0, 2.0), (1.0, 2.0))
    assert some["detail"] == "the interval would lie on the claimed side under bins=1"
    assert none["agrees"] is some["agrees"] is False
    assert other_choices((1.0, 2.0), (-1.0, 2.0), (1.0, 2.0))["detail"] == "it does not hold under bins=0"


def test_levels_that_move_in_opposite_directions_are_a_warning_and_do_not_decide():
    rows = [row(2.0, 8.0) | {"member": "easy", "examples": 152, "relative_change": 0.5}]
    rows += [row(-9.0, -3.0) | {"member": "hard", "examples": 13, "relative_change": -0.6}]
    assert judge(UP, evidence(levels={"kurtosis": rows}))["levels"] is None
    verdict = judge(UP, evidence(levels={"intensity": rows}))
    assert verdict["verdict"] == "supported"
    assert verdict["levels"]["sure"]


def test_side():
    assert [side(each) for each in (None, interval(0, 1), interval(-1, 0), interval(1, 2), interval(-2, -1))] == [
        0, 0, 0, 1, -1,
    ]  # fmt: skip
