"""Scores against published PyTorch code on the shared reference models, float64 there and float32 here."""

from pathlib import Path

import numpy as np
import pytest

import jaxeap
from tests.attribution.closeness import assert_scores_close
from tests.attribution.numpy_graph import NumpyGraph
from tests.attribution.reference_data import FAMILIES, REFERENCE_MODELS, ReferenceModel, load_reference

SHARE = 2e-5
MORE_OF_QWEN2 = ("qwen2_untied_3l", "qwen2_deep_6l")
"""More layers of what another model has, which take long to compile; at block level they are in every run."""


def test_no_reference_model_is_left_out(reference_dir: Path):
    stored = [folder.name for folder in reference_dir.iterdir() if folder.name.startswith(FAMILIES)]
    assert sorted(stored) == sorted(REFERENCE_MODELS)


def loss_rounding(reference: ReferenceModel) -> float:
    """1e-6, or two units in the last place of the model's largest logit where that is more: losses differ by logits."""
    with np.load(reference.folder / "data.npz") as data:
        largest = max(np.abs(data[name]).max() for name in data.files if name.startswith("hf_logits"))
    return max(1e-6, 2 * float(np.spacing(np.float32(largest))))


def test_block_level_scores_and_loss(reference: ReferenceModel):
    result = jaxeap.attribute(reference.model, reference.batch, level="block", ablation="zero")
    assert_scores_close(result.scores, reference.layer_array("scores_f64"), SHARE)
    np.testing.assert_allclose(result.loss, reference.layer_array("loss_f64"), rtol=0, atol=loss_rounding(reference))
    np.testing.assert_array_equal(result.graph.mask, reference.layer_array("real_edge_mask"))


@pytest.mark.parametrize(
    "reference",
    [pytest.param(name, marks=pytest.mark.slow) if name in MORE_OF_QWEN2 else name for name in REFERENCE_MODELS],
    indirect=True,
)
@pytest.mark.parametrize("ablation, array", [("zero", "eap_zero"), ("corrupted", "eap_patch")])
def test_head_level_scores(reference: ReferenceModel, ablation: str, array: str):
    if reference.model.config.post_norms:
        pytest.skip("the reference code takes heads before the norm that follows them, where they do not add up")
    result = jaxeap.attribute(reference.model, reference.batch, level="head", ablation=ablation)
    assert_scores_close(result.scores, reference.head_array(array), SHARE)
    np.testing.assert_allclose(result.loss, reference.layer_array("loss_f64"), rtol=0, atol=loss_rounding(reference))


def test_the_graph_has_the_reference_nodes_in_the_reference_order(reference: ReferenceModel):
    graph = jaxeap.EdgeGraph.for_config(reference.model.config, "block")
    sources, destinations = reference.names("block")
    assert list(graph.sources[1:]) == sources[1:]
    assert list(graph.destinations) == destinations
    sources, destinations = reference.names("head")
    graph = jaxeap.EdgeGraph.for_config(reference.model.config, "head")
    assert list(graph.sources[1:]) == sources[1:]
    kept = [name for name in graph.destinations if ".kv" not in name]
    assert kept == [name for name in destinations if not name.endswith(("<k>", "<v>"))]


def test_the_numpy_graph_agrees_with_the_reference_code_too(reference_dir: Path):
    # Other tests lean on it, so it is held to float64 here: what is left is the central difference.
    reference = load_reference(reference_dir / "qwen2_tied_2l")
    for example in range(2):
        numpy_graph = NumpyGraph(reference.model, "block", reference.batch, example)
        scores = numpy_graph.scores(-numpy_graph.outputs)
        assert_scores_close(scores[None], reference.layer_array("scores_f64")[[example]], 1e-7)
        np.testing.assert_allclose(numpy_graph.loss, reference.layer_array("loss_f64")[example], rtol=1e-9)
