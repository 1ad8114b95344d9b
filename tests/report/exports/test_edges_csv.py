import csv

import numpy as np

from jaxeap.report.exports import write_edges_csv

SOURCES, DESTINATIONS = ("embed", "a0", "m0"), ("a0<q>", "m0", "logits")
MASK = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1]], bool)


def test_every_edge_is_a_row_and_nothing_else_is(tmp_path):
    scores = np.arange(9, dtype=np.float32).reshape(3, 3) / 3
    p_value = np.where(MASK, 0.5, np.nan)
    p_value[1, 1] = np.nan
    columns = {"base": scores, "p_value": p_value, "in_base": scores > 1, "change": np.full((3, 3), "weaken")}
    path = write_edges_csv(tmp_path / "edges.csv", SOURCES, DESTINATIONS, MASK, columns)
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert [(row["source"], row["destination"]) for row in rows] == [
        ("embed", "a0<q>"), ("embed", "m0"), ("embed", "logits"), ("a0", "m0"), ("a0", "logits"), ("m0", "logits"),
    ]  # fmt: skip
    assert [np.float32(row["base"]) for row in rows] == scores[MASK].tolist()
    assert rows[0] | {"base": ""} == {
        "source": "embed", "destination": "a0<q>", "source_layer": "", "destination_layer": "0",
        "source_kind": "embed", "destination_kind": "query", "base": "", "p_value": "0.5", "in_base": "0",
        "change": "weaken",
    }  # fmt: skip
    assert (rows[3]["p_value"], rows[3]["in_base"], rows[3]["source_kind"]) == ("", "1", "attention")
    assert (rows[5]["source_layer"], rows[5]["destination_layer"], rows[5]["destination_kind"]) == ("0", "", "logits")


def test_without_columns_there_are_the_nodes(tmp_path):
    path = write_edges_csv(tmp_path / "edges.csv", SOURCES, DESTINATIONS, MASK, {})
    assert len(path.read_text().splitlines()) == 7
