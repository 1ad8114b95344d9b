import dataclasses

import pytest

from jaxeap.metrics.options import MetricOptions


def test_the_defaults_are_the_papers():
    assert MetricOptions().to_json() == {
        "entries": "all",
        "bins": 100,
        "bin_range": "shared",
        "kurtosis": "fisher",
        "correlation": "signed",
        "top_share": 0.01,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("entries", "edge"),
        ("bins", 1),
        ("bins", True),
        ("bins", 50.0),
        ("bin_range", "common"),
        ("kurtosis", "excess"),
        ("correlation", None),
        ("top_share", 0.0),
        ("top_share", 2.0),
        ("top_share", 1),
    ],
)
def test_a_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}"):
        MetricOptions(**{name: value})


def test_every_choice_shows_in_the_description():
    changes = {
        "entries": "edges",
        "bins": 50,
        "bin_range": "per_model",
        "kurtosis": "pearson",
        "correlation": "absolute",
        "top_share": 0.05,
    }
    descriptions = {dataclasses.replace(MetricOptions(), **{name: value}).describe() for name, value in changes.items()}
    assert len(descriptions | {MetricOptions().describe()}) == len(changes) + 1
