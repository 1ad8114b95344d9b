import dataclasses

import pytest

from jaxeap.report.page import Content, lines


def test_layers_bring_flows_only_where_circuits_were_contrasted(content: Content):
    assert [quantity["name"] for quantity in lines.layers(content)] == [
        "mean |score| of the edges into a layer",
        "sum of |score|: flow into the layer",
    ]
    without = lines.layers(dataclasses.replace(content, circuits=None))
    assert len(without) == 1
    assert [row["layer"] for row in without[0]["rows"]] == ["0", "1", "2", "logits"]


def test_breakdowns_with_one_member_are_left_out(content: Content):
    found = lines.breakdowns(content.metrics)
    assert list(found) == ["layer", "difficulty"]
    assert len(found["layer"]["metrics"]["intensity"]["rows"]) == 4
    row = content.metrics["breakdowns"]["difficulty"][0]
    assert lines.breakdowns({"breakdowns": {"difficulty": [row]}}) == {}


def test_widths_are_relative_to_the_last_that_is_known(content: Content):
    entry = {"examples": [8, 16, 24], "width": [4.0, 2.0, None], "needed": None}
    metrics = {"contrast": content.metrics["contrast"], "enough_questions": {"intensity": entry}}
    found = lines.enough(metrics)
    assert found is not None
    assert found["curves"]["Activation intensity"]["width"] == [2.0, 1.0, None]
    assert lines.enough({"contrast": content.metrics["contrast"]}) is None


def test_tensors_of_a_layer_are_taken_together():
    def tensor(layer, entries, changed, norms):
        return {"layer": layer, "entries": entries, "changed": changed, "squared_norms": norms, "dtype": "bfloat16"}

    tensors = [tensor(None, 100, 0, [1, 1, 0]), tensor(1, 10, 5, [9, 9, 1]), tensor(1, 30, 5, [7, 7, 3])]
    found = lines.weights({"tensors": tensors, "notes": []})
    assert found is not None
    (layer,) = found["layers"]
    assert layer == {"layer": 1, "entries": 40, "changed_share": 0.25, "relative_norm": 0.5}
    assert found["total"]["changed_share"] == pytest.approx(10 / 140)
    assert lines.weights(None) is lines.weights({"tensors": []}) is None


def test_crossed_circuits_stand_in_one_row(content: Content):
    view = lines.circuits_view(content.circuits)
    assert view is not None
    assert view["crossed"] == [(4, {"base_tuned": 0.4})]
    assert lines.circuits_view(None) is lines.circuits_view({"matched_size": []}) is None
    data = lines.circuits_data(content.circuits)
    assert data["within_base"] == [0.8, 0.8]
    assert data["between"] == [0.7, 0.8]


def test_halves_are_beyond_noise_only_below_both_models(content: Content):
    view = lines.circuits_view(content.circuits)
    assert view is not None
    assert view["halves"] and view["beyond_noise"] == []
    within = {"within_base": 0.8, "within_tuned": 0.7}
    assert lines.beyond_noise(within | {"between": 0.69})
    assert not lines.beyond_noise(within | {"between": 0.75})
    assert not lines.beyond_noise(within | {"between": 0.69, "within_base": None})
    assert not lines.beyond_noise({})


def test_the_whole_graph_is_no_circuit_of_matched_faithfulness(content: Content):
    view = lines.circuits_view(content.circuits)
    assert view is not None
    whole, matched, none = view["matched_faithfulness"]
    assert (whole["base"], whole["tuned"]) == ("12", "none short of the whole graph")
    assert (whole["appear"], whole["vanish"], whole["jaccard"]) == ("–", "–", None)
    assert matched == {"base": "12", "tuned": "15", "target": 0.5, "appear": 5, "vanish": 2, "jaccard": 0.59}
    assert (none["base"], none["tuned"], none["jaccard"]) == ("none", "none", None)
