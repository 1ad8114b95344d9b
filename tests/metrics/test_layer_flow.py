"""Flows by their definition, edge by edge, and what must hold of them."""

import numpy as np
import pytest

from jaxeap.metrics.layer_flow import ALL, Flow, flow_changes, flow_names, flows

BLOCK = (
    ("embed", "a0", "m0", "a1", "m1"),
    ("a0<q>", "a0<k>", "a0<v>", "m0", "a1<q>", "a1<k>", "a1<v>", "m1", "logits"),
)
HEAD = (
    ("embed", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1", "m1"),
    ("a0.h0<q>", "a0.h1<q>", "a0.kv0<k>", "a0.kv0<v>", "m0", "a1.h0<q>", "a1.h1<q>", "a1.kv0<k>", "a1.kv0<v>", "m1",
     "logits"),
)  # fmt: skip
ORDER = {"embed": -1, "logits": 99}


def layer(name: str) -> str:
    return name if name in ORDER else name[1]


def depth(name: str) -> int:
    return ORDER.get(name, int(name[1]) if name[1].isdigit() else 0)


def counts(flow: Flow, source: str, destination: str) -> bool:
    """Whether the edge belongs to the flow, from the words of its docstring."""
    if flow.direction == "past":
        return depth(source) < int(flow.layer) < depth(destination)
    name = destination if flow.direction == "into" else source
    kinds = {"q>": "query", "k>": "key", "v>": "value"}
    kind = kinds.get(name[-2:], {"m": "mlp", "a": "attention"}.get(name[0], name)) if name not in ORDER else name
    return layer(name) == flow.layer and flow.kind in (ALL, kind)


def scores_of(names, seed=0):
    return np.random.default_rng(seed).normal(size=(5, len(names[0]), len(names[1]))).astype(np.float32)


@pytest.mark.parametrize("names", [BLOCK, HEAD])
def test_every_flow_is_the_sum_over_its_edges(names):
    sources, destinations = names
    scores = scores_of(names)
    found = flows(scores, sources, destinations)
    listed = flow_names(sources, destinations)
    assert found.dtype == np.float64 and found.shape == (5, len(listed))
    for flow, values in zip(listed, found.T, strict=True):
        expected = sum(
            np.abs(scores[:, row, column].astype(np.float64))
            for row, source in enumerate(sources)
            for column, destination in enumerate(destinations)
            if counts(flow, source, destination)
        )
        np.testing.assert_allclose(values, expected, rtol=1e-6, err_msg=str(flow))


def test_flows_of_the_block_graph_are_these():
    listed = flow_names(*BLOCK)
    kinds = {direction: [flow[::2] for flow in listed if flow.direction == direction] for direction in ("into", "past")}
    of_layer = [("all"), ("query"), ("key"), ("value"), ("mlp")]
    assert kinds["into"] == [
        *(("0", kind) for kind in of_layer),
        *(("1", kind) for kind in of_layer),
        ("logits", "all"),
    ]
    assert kinds["past"] == [("0", "all"), ("1", "all")]
    out = [flow[::2] for flow in listed if flow.direction == "out_of"]
    assert out == [("embed", "all"), *((of, kind) for of in "01" for kind in ("all", "attention", "mlp"))]


def test_what_flows_in_and_out_adds_up_to_all():
    scores = scores_of(HEAD)
    found = dict(zip(flow_names(*HEAD), flows(scores, *HEAD).T, strict=True))
    for direction in ("into", "out_of"):
        total = sum(values for flow, values in found.items() if flow[1:] == (direction, ALL))
        np.testing.assert_allclose(total, np.abs(scores).sum(axis=(1, 2), dtype=np.float64), rtol=1e-6)


def test_changes_are_means_and_a_paired_interval():
    listed = flow_names(*BLOCK)
    base, tuned = flows(scores_of(BLOCK), *BLOCK), flows(scores_of(BLOCK, 1), *BLOCK)
    changes = flow_changes(listed, base, tuned, resamples=2000)
    for place, change in enumerate(changes):
        difference = (tuned - base)[:, place]
        assert change.flow == listed[place]
        assert change.base == pytest.approx(base[:, place].mean())
        assert change.difference == pytest.approx(difference.mean())
        low, high = change.interval
        draws = np.random.default_rng(5).integers(5, size=(20_000, 5))
        expected = np.quantile(difference[draws].mean(axis=1), [0.025, 0.975])
        np.testing.assert_allclose([low, high], expected, atol=0.12 * np.ptp(difference))


def test_equal_models_have_equal_flows():
    base = flows(scores_of(BLOCK), *BLOCK)
    assert all(
        (change.difference, change.interval) == (0.0, (0.0, 0.0))
        for change in flow_changes(flow_names(*BLOCK), base, base, resamples=20)
    )
    single = flow_changes(flow_names(*BLOCK), base[:1], base[1:2], resamples=20)
    assert all(change.interval is None for change in single)


def test_wrong_shapes_are_refused():
    base = flows(scores_of(BLOCK), *BLOCK)
    with pytest.raises(ValueError, match="one shape"):
        flow_changes(flow_names(*BLOCK), base, base[:3])
