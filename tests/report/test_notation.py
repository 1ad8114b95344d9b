import pytest

from jaxeap.report import notation


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1.0, "1.000"), (-0.00123456, "-0.001235"), (2066.6, "2067"), (3.2e-9, "3.200e-09"), (None, "–")],
)
def test_number(value, text):
    assert notation.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.5, "+0.500"), (-12.345, "-12.3"), (123.4, "+123")])
def test_signed(value, text):
    assert notation.signed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0%"), (0.2891, "+28.9%"), (-0.0005, "-0.1%"), (-0.0000211, "-0.002%"), (41.5, "+4,150.0%"), (None, "–")],
)
def test_percent(value, text):
    assert notation.percent(value) == text


def test_interval():
    assert notation.interval((-0.5, 0.25)) == "[-0.500, +0.250]"
    assert notation.interval((0.0, 0.0)) == "[0, 0]"
    assert notation.interval(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.0"), (0.0244, "0.024"), (0.00131, "0.0013"), (0.0001, "<0.001"), (None, "–")]
)
def test_probability(value, text):
    assert notation.probability(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0%"), (1.0, "100%"), (0.0002, "< 0.1%"), (0.9999, "> 99.9%"), (0.25, "25.0%")],
)
def test_share(value, text):
    assert notation.share(value) == text
