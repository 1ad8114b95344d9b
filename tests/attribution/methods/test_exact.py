"""Exact patching against an independent float64 forward pass in which every destination reads its own residual."""

import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from tests.attribution.closeness import assert_scores_close
from tests.attribution.numpy_graph import NumpyGraph
from tests.attribution.reference_data import load_reference
from tests.attribution.tiny import TinyModel


@pytest.mark.parametrize("level", ["block", "head"])
@pytest.mark.parametrize("ablation", ["zero", "corrupted"])
def test_every_edge_has_the_effect_of_an_independent_forward_pass(
    tiny: TinyModel, batch: Batch, level: str, ablation: str
):
    result = jaxeap.attribute(tiny.model, batch, method="exact", level=level, ablation=ablation)
    example = 1
    graph = NumpyGraph(tiny.model, level, batch, example)
    corrupted = batch.corrupted[example][batch.mask[example]]
    deltas = (graph.outputs_on(corrupted) if ablation == "corrupted" else 0) - graph.outputs
    effects = np.zeros(graph.graph.mask.shape)
    for row, column in np.argwhere(graph.graph.mask):
        effects[row, column] = graph.exact_effect(graph.graph.destinations[column], deltas[row])
    assert_scores_close(np.asarray(result.scores)[[example]], effects[None], 2e-5)


@pytest.mark.parametrize("ablation, array", [("zero", "exact_zero"), ("corrupted", "exact_patch")])
@pytest.mark.parametrize("name", ["qwen2_tied_2l"])
def test_reference_code_on_columns_that_both_graphs_have(reference_dir, name: str, ablation: str, array: str):
    # The peer's key and value columns patch one query head's private copy, which is no edge of the model under GQA.
    reference = load_reference(reference_dir / name)
    result = jaxeap.attribute(reference.model, reference.batch, method="exact", level="head", ablation=ablation)
    expected = reference.head_array(array)
    shared = [node.kind in ("query", "mlp", "logits") for node in result.graph.destination_nodes]
    assert_scores_close(np.asarray(result.scores)[:, :, shared], expected[:, :, shared], 2e-5)


def test_a_subset_in_small_runs_equals_the_whole(tiny: TinyModel, batch: Batch):
    whole = jaxeap.attribute(tiny.model, batch, method="exact", level="head", ablation="corrupted")
    edges = np.argwhere(whole.graph.mask)[::7]
    part = jaxeap.attribute(
        tiny.model, batch, method="exact", level="head", ablation="corrupted", edges=edges, side_by_side=3
    )
    rows, columns = edges.T
    rounding = 4 * np.spacing(np.max(np.asarray(whole.loss)))  # Effects are differences of two losses.
    np.testing.assert_allclose(part.scores[:, rows, columns], whole.scores[:, rows, columns], rtol=0, atol=rounding)
    patched = np.zeros(whole.graph.mask.shape, bool)
    patched[rows, columns] = True
    np.testing.assert_array_equal(np.isnan(part.scores[0]), whole.graph.mask & ~patched)
    np.testing.assert_array_equal(part.loss, whole.loss)


def test_refuses_what_is_no_edge(tiny: TinyModel, batch: Batch):
    with pytest.raises(ValueError, match=r"\(6, 0\) is no edge of the block-level graph"):
        jaxeap.attribute(tiny.model, batch, method="exact", edges=[(6, 0)])
    with pytest.raises(ValueError, match=r"\(-1, 0\) is no edge"):
        jaxeap.attribute(tiny.model, batch, method="exact", edges=[(-1, 0)])
    with pytest.raises(ValueError, match="no edges to patch"):
        jaxeap.attribute(tiny.model, batch, method="exact", edges=[])
