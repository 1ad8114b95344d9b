import pytest

from jaxeap.metrics.node_names import layer_of_node


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("embed", None),
        ("logits", None),
        ("a0", 0),
        ("m12", 12),
        ("a3<q>", 3),
        ("a10.h7", 10),
        ("a10.h7<q>", 10),
        ("a4.kv0<v>", 4),
    ],
)
def test_both_levels(name, layer):
    assert layer_of_node(name) == layer


@pytest.mark.parametrize("name", ["", "input", "b3", "a", "a3<x>", "a3.h", "m2 ", "xa3"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="not a node name"):
        layer_of_node(name)
