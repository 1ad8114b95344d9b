"""Information flow against loops in float64 NumPy, hand-worked shares, and what holds whatever the model."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import Level
from jaxeap.attribution.interventions import Ablation
from jaxeap.attribution.methods.information_flow import InformationFlowOptions, information_flow, shares_at
from jaxeap.attribution.settings import Settings
from jaxeap.models.model import Decoder
from tests.attribution.numpy_graph import NumpyGraph
from tests.attribution.tiny import TinyModel, ragged_batch

CHUNK = 5  # does not divide the length 11


def scored(
    model: Decoder, batch: Batch, level: Level = "block", chunk: int = CHUNK, positions: str = "real"
) -> tuple[np.ndarray, np.ndarray]:
    settings = Settings(level, "zero", chunk)
    scores, loss, gradient_norm = information_flow(
        model.weights, model.config, batch, None, settings, InformationFlowOptions(positions)
    )
    assert scores.dtype == loss.dtype == gradient_norm.dtype == jnp.float32
    return np.asarray(scores), np.asarray(loss)


def expected_scores(graph: NumpyGraph, positions: np.ndarray) -> np.ndarray:
    """[S, J]: destination by destination, position by position, source by source."""
    scores = np.zeros(graph.graph.mask.shape)
    for column in range(scores.shape[1]):
        rows = np.flatnonzero(graph.graph.mask[:, column])
        for position in positions:
            x = sum(graph.outputs[row, position] for row in rows)
            proximity = [max(np.abs(x).sum() - np.abs(x - graph.outputs[row, position]).sum(), 0.0) for row in rows]
            scores[rows, column] += np.array(proximity) / sum(proximity) / len(positions)
    return scores


@pytest.mark.parametrize(
    "name, level, positions",
    [
        ("tiny", "block", "real"),
        ("tiny", "head", "real"),
        ("tiny", "head", "predicting"),
        ("tiny_plain", "head", "real"),
    ],
)
def test_against_loops(name: str, level: Level, positions: str, batch: Batch, request: pytest.FixtureRequest):
    model = request.getfixturevalue(name).model
    scores, loss = scored(model, batch, level, positions=positions)
    for example in range(batch.size):
        graph = NumpyGraph(model, level, batch, example)
        count = int(batch.target_mask[example].sum())
        averaged = np.arange(len(graph.tokens)) if positions == "real" else graph.first - 1 + np.arange(count)
        np.testing.assert_allclose(scores[example], expected_scores(graph, averaged), rtol=0, atol=2e-6)
        np.testing.assert_allclose(loss[example], graph.loss, rtol=1e-5)


@pytest.mark.parametrize("level", ["block", "head"])
def test_shares_of_what_a_destination_reads_add_up_to_1(tiny: TinyModel, batch: Batch, level: Level):
    scores, _ = scored(tiny.model, batch, level)
    mask = Settings(level, "zero", CHUNK).graph(tiny.model.config).mask
    assert (scores >= 0).all() and (scores[:, ~mask] == 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-6)
    # Only the embedding is there to be read by layer 0's attention.
    assert (scores[:, 0, :3] > 1 - 1e-6).all()


def test_queries_keys_and_values_read_the_same(tiny: TinyModel, batch: Batch):
    scores, _ = scored(tiny.model, batch)
    for layer in range(tiny.model.config.num_layers):
        np.testing.assert_array_equal(scores[:, :, 4 * layer], scores[:, :, 4 * layer + 1])
        np.testing.assert_array_equal(scores[:, :, 4 * layer], scores[:, :, 4 * layer + 2])


@pytest.mark.parametrize("chunk, length", [(1, 11), (11, 11), (4, 17)])
def test_chunks_and_padding_change_nothing(tiny: TinyModel, batch: Batch, chunk: int, length: int):
    expected, _ = scored(tiny.model, batch, "head")
    padded = ragged_batch(tiny.model.config.vocab_size, length=length)
    np.testing.assert_allclose(scored(tiny.model, padded, "head", chunk)[0], expected, rtol=0, atol=1e-6)


def shares(sources: list[list[float]], residual: list[float], written: list[bool] | None = None) -> np.ndarray:
    """Of one example at one position, the sources as rows."""
    parts, whole = jnp.array(sources)[None, :, None], jnp.array(residual)[None, None]
    written = [True] * len(sources) if written is None else written
    return np.asarray(shares_at(parts, whole, jnp.array(written)))[0, :, 0]


def test_shares_worked_by_hand():
    # ||x|| = 4; the parts are 1 and 3 away from it, so their proximities are 3 and 1.
    np.testing.assert_allclose(shares([[3.0, 0.0], [0.0, 1.0]], [3.0, 1.0]), [0.75, 0.25])
    # The second points away from the sum: it is no part of it.
    np.testing.assert_allclose(shares([[4.0, 1.0], [-1.0, 0.0]], [3.0, 1.0]), [1.0, 0.0])
    # As the first case, for what is not written is not read.
    found = shares([[3.0, 0.0], [0.0, 1.0], [3.0, 1.0]], [3.0, 1.0], [True, True, False])
    np.testing.assert_allclose(found, [0.75, 0.25, 0.0])


def test_no_source_is_near_where_large_ones_cancel():
    np.testing.assert_array_equal(shares([[9.0, 0.0], [-8.0, 0.0]], [1.0, 0.0]), [0.0, 0.0])
    np.testing.assert_array_equal(shares([[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0]), [0.0, 0.0])


def test_a_small_source_keeps_its_precision():
    # In float32, 1e4 + 1e-4 is 1e4: the difference of the two norms would lose the second source.
    np.testing.assert_allclose(shares([[1e4, 0.0], [0.0, 1e-4]], [1e4, 1e-4])[1], 1e-8, rtol=1e-6)


@pytest.mark.parametrize("ablation", ["corrupted", "mean", "resample"])
def test_an_ablation_is_refused(tiny: TinyModel, batch: Batch, ablation: Ablation):
    with pytest.raises(ValueError, match=f"replaces nothing, so ablation '{ablation}'.*leave ablation at 'zero'"):
        information_flow(
            tiny.model.weights,
            tiny.model.config,
            batch,
            None,
            Settings("block", ablation, CHUNK),
            InformationFlowOptions(),
        )


def test_unknown_positions_are_refused():
    with pytest.raises(ValueError, match="positions='last' is unknown; use one of real, predicting"):
        InformationFlowOptions("last")
