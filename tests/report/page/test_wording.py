import pytest

from jaxeap.report.page import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.00003, "< 0.0001"), (0.0432, "0.043"), (0.0999, "0.1"), (0.456, "0.46"), (1.0, "1.00")],
)
def test_p_value(value, text):
    assert wording.p_value(value) == text


@pytest.mark.parametrize(("value", "text"), [(3.21, "3.2 s"), (61.2, "1 min 1 s"), (7265, "2 h 1 min")])
def test_seconds(value, text):
    assert wording.seconds(value) == text


def test_intervals_of_every_form():
    assert wording.bounds([1, 2]) == wording.bounds({"low": 1, "high": 2, "confidence": 0.95}) == (1.0, 2.0)
    assert wording.bounds(None) is wording.bounds({"low": None, "high": None}) is None
    assert wording.interval({"low": -0.5, "high": 0.25}) == "[−0.500, +0.250]"
    assert wording.signed(-2.0) == "−2.00"
    assert wording.percent(None) == wording.interval(None) == "–"
