"""Integrated gradients along each node's activation, against the published code and its exact special cases."""

import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from tests.attribution.closeness import assert_scores_close
from tests.attribution.reference_data import REFERENCE_SAMPLE, ReferenceModel
from tests.attribution.tiny import TinyModel


@pytest.mark.parametrize("reference", REFERENCE_SAMPLE, indirect=True)
@pytest.mark.parametrize("ablation, array", [("corrupted", "eap_ig_act_patch"), ("zero", "eap_ig_act_zero")])
def test_reference_code_with_its_rule(reference: ReferenceModel, ablation: str, array: str):
    result = jaxeap.attribute(
        reference.model,
        reference.batch,
        method="eap_ig_activations",
        level="head",
        ablation=ablation,
        steps=5,
        rule="right",
    )
    expected = reference.head_array(array)
    # The peer's hooks see no gradient at a constant: while it holds the embedding, the first layer's q, k and v count
    # as zero. Ours do not. Only the embedding's edges into those are touched.
    scores = np.asarray(result.scores).copy()
    first_readers = [
        node.layer == 0 and node.kind in ("query", "key", "value") for node in result.graph.destination_nodes
    ]
    scores[:, 0, first_readers] = expected[:, 0, first_readers]
    assert_scores_close(scores, expected, 2e-5)


def test_one_step_at_the_clean_end(tiny: TinyModel, batch: Batch):
    # Held at its clean output a node changes nothing forward: column `logits` is EAP's, and the last feed-forward
    # layer's is EAP's but for the one run of 2 L + 1 that cuts its gradient.
    plain = jaxeap.attribute(tiny.model, batch, ablation="corrupted")
    held = jaxeap.attribute(tiny.model, batch, method="eap_ig_activations", ablation="corrupted", steps=1, rule="right")
    nodes = 1 + 2 * tiny.model.config.num_layers
    expected = np.asarray(plain.scores)[:, :, -2:] * np.array([(nodes - 1) / nodes, 1])
    np.testing.assert_array_equal(plain.graph.destinations[-2:], ["m2", "logits"])
    assert_scores_close(np.asarray(held.scores)[:, :, -2:], expected, 2e-6)
