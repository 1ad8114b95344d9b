"""Attention rollout against explicit matrix products in float64, and the embedding's scores against differences."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution.attribute import attribute, mean_sources
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.interventions import Ablation
from jaxeap.attribution.rollout import attention_rollout, embedding_attribution, token_rank_correlation
from jaxeap.models import attention as attention_module
from jaxeap.models.model import Decoder
from tests.attribution.numpy_attention import mixing_matrices, predicting_positions
from tests.attribution.numpy_graph import STEP, NumpyGraph
from tests.attribution.test_nodes import moved
from tests.attribution.tiny import TinyModel, ragged_batch


def expected_rollout(model: Decoder, batch: Batch) -> np.ndarray:
    """[B, T]: the whole product of matrices, then its predicting rows."""
    expected = np.zeros(batch.tokens.shape)
    for example in range(batch.size):
        product = functools.reduce(lambda below, layer: layer @ below, mixing_matrices(model, batch, example))
        rows = product[list(predicting_positions(batch, example))]
        expected[example, : len(product)] = rows.mean(axis=0)
    return expected


@pytest.mark.parametrize("name", ["tiny", "tiny_plain"])
def test_rollout_against_the_matrix_product(name: str, batch: Batch, request: pytest.FixtureRequest):
    model = request.getfixturevalue(name).model
    found = attention_rollout(model, batch)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected_rollout(model, batch), rtol=0, atol=1e-6)


def test_rollout_shares_out_1_among_tokens_that_a_prediction_can_see(tiny: TinyModel, batch: Batch):
    found = np.asarray(attention_rollout(tiny.model, batch))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-6)
    assert (found[batch.mask] > 0).all() and (found[~batch.mask] == 0).all()
    # Of three layers one has a window of 3, which the full ones before it bridge: nothing in the prompt is cut off.
    padded = attention_rollout(tiny.model, ragged_batch(tiny.model.config.vocab_size, length=15))
    np.testing.assert_allclose(padded[:, : found.shape[1]], found, rtol=0, atol=1e-6)


def test_rollout_in_blocks_of_queries(tiny: TinyModel, batch: Batch, monkeypatch: pytest.MonkeyPatch):
    expected = attention_rollout(tiny.model, batch)
    monkeypatch.setattr(attention_module, "QUERY_BLOCK", 4)
    # A length of its own, so that the function is traced anew.
    blocked = attention_rollout(tiny.model, ragged_batch(tiny.model.config.vocab_size, length=13))
    np.testing.assert_allclose(blocked[:, : expected.shape[1]], expected, rtol=0, atol=1e-6)


def test_rollout_of_bfloat16_weights_is_computed_in_float32(tiny: TinyModel, batch: Batch):
    model = Decoder(tiny.model.config, jax.tree.map(lambda a: a.astype(jnp.bfloat16), tiny.model.weights))
    found = attention_rollout(model, batch)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(np.sum(found, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(found, attention_rollout(tiny.model, batch), rtol=0, atol=0.02)


@pytest.mark.parametrize("ablation", ["mean", "resample"])
def test_embedding_attribution_adds_up_to_the_node(tiny: TinyModel, batch: Batch, ablation: Ablation):
    reference = mean_sources(tiny.model, batch) if ablation == "mean" else None
    found = np.asarray(embedding_attribution(tiny.model, batch, ablation, reference, seed=1))
    assert (found[~batch.mask] == 0).all()
    scores = np.asarray(attribute(tiny.model, batch, ablation=ablation, reference=reference, seed=1).scores)
    largest = np.abs(scores).max(axis=(1, 2))
    np.testing.assert_array_less(np.abs(found.sum(axis=1) - scores[:, 0].sum(axis=1)) / largest, 2e-5)


def test_embedding_attribution_token_by_token(tiny: TinyModel, batch: Batch):
    found = np.asarray(embedding_attribution(tiny.model, batch))
    for example in range(batch.size):
        graph = NumpyGraph(tiny.model, "block", batch, example)
        for position in range(len(graph.tokens)):
            by = np.zeros_like(graph.outputs[0])
            by[position] = -STEP * graph.outputs[0, position]
            expected = (moved(graph, 0, by) - moved(graph, 0, -by)) / (2 * STEP)
            largest = np.abs(found[example]).max()
            np.testing.assert_allclose(found[example, position], expected, rtol=0, atol=2e-5 * largest)


def test_rank_correlation_by_hand():
    mask = np.array([[True] * 4, [True] * 3 + [False], [True, True, False, False], [True] * 4])
    relevance = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.3, 0.2, 9.0], [0.4, 0.6, 0, 0], [0.25] * 4])
    attribution = np.array([[-1.0, 2.0, -3.0, 9.0], [1.0, -2.0, 3.0, -9.0], [1.0, 2.0, 0, 0], [1.0, 2.0, 3.0, 4.0]])
    # Same order of sizes; reversed order, the padding left out; too few tokens; no order at all.
    found = token_rank_correlation(relevance, attribution, mask)
    np.testing.assert_allclose(found, [1.0, -1.0, np.nan, np.nan])
    # One swap of neighbours among four: 1 - 6 * 2 / (4 * 15).
    swapped = token_rank_correlation(relevance[:1], np.array([[2.0, -1.0, 3.0, 4.0]]), mask[:1])
    np.testing.assert_allclose(swapped, [0.8])


def test_bad_input_is_refused(tiny: TinyModel, batch: Batch):
    beyond = Batch.from_sequences([[1, 31, 3]], [(1, 3)])
    for function in (attention_rollout, embedding_attribution):
        with pytest.raises(ValueError, match="token 31"):
            function(tiny.model, beyond)
    with pytest.raises(ValueError, match="ablation 'half' is unknown"):
        embedding_attribution(tiny.model, batch, "half")
