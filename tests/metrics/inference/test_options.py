import pytest

from jaxeap.metrics.inference.options import InferenceOptions


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("method", "basic", "'basic'; choose one of bca"),
        ("permutations", -1, "-1"),
        ("confidence", 1.0, "between 0 and 1"),
    ],
)
def test_values_without_sense_are_refused(name, value, said):
    with pytest.raises(ValueError, match=said):
        InferenceOptions(**{name: value})
