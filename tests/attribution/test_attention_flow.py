"""Attention flow against linear programming, by hand, and against rollout, one of the flows that it chooses from."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from jaxeap.attribution.attention_flow import UNITS, attention_flow, flow_network
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.rollout import attention_rollout
from tests.attribution.numpy_attention import mixing_matrices, predicting_positions
from tests.attribution.tiny import TinyModel, ragged_batch


def maximum_flow(matrices: np.ndarray, drawing: list[int], token: int) -> float:
    """By linear programming over the flow [L, T, T] in each pipe, of which layer 0 touches the tokens."""
    layers, length, _ = matrices.shape
    size = (layers, length, length)
    equal, equal_to, below, below_to = [], [], [], []
    for layer in range(layers - 1):
        for position in range(length):
            row = np.zeros(size)
            row[layer, position, :] += 1
            row[layer + 1, :, position] -= 1
            equal.append(row.ravel())
            equal_to.append(0.0)
    for position in range(length):
        row = np.zeros(size)
        row[layers - 1, position] = 1
        below.append(row.ravel())
        below_to.append((position in drawing) / len(drawing))
    arriving = np.zeros(size)
    arriving[0, :, token] = 1
    # What arrives at other tokens would be lost: nothing may.
    capacities = np.where((np.arange(layers) > 0)[:, None, None] | (arriving > 0), matrices, 0.0)
    solution = scipy.optimize.linprog(
        -arriving.ravel(),
        A_ub=np.array(below),
        b_ub=below_to,
        A_eq=np.array(equal) if equal else None,
        b_eq=equal_to if equal else None,
        bounds=[(0, capacity) for capacity in capacities.ravel()],
    )
    assert solution.status == 0
    return -solution.fun


@pytest.mark.parametrize("name", ["tiny", "tiny_plain"])
def test_against_linear_programming(name: str, batch: Batch, request: pytest.FixtureRequest):
    model = request.getfixturevalue(name).model
    found = attention_flow(model, batch)
    assert found.dtype == np.float32 and found.shape == batch.tokens.shape
    assert (found[~batch.mask] == 0).all()
    for example in range(batch.size):
        matrices = mixing_matrices(model, batch, example)
        drawing = list(predicting_positions(batch, example))
        expected = [maximum_flow(matrices, drawing, token) for token in range(matrices.shape[1])]
        np.testing.assert_allclose(found[example, : len(expected)], expected, rtol=0, atol=2e-5)


def test_flow_is_no_less_than_rollout_and_no_more_than_1(tiny: TinyModel, batch: Batch):
    flow, rollout = attention_flow(tiny.model, batch), np.asarray(attention_rollout(tiny.model, batch))
    assert (flow >= rollout - 1e-6).all() and (flow <= 1 + 1e-6).all()
    assert (flow[batch.mask] > 1.05 * rollout[batch.mask]).any()


def test_padding_changes_nothing(tiny: TinyModel, batch: Batch):
    padded = attention_flow(tiny.model, ragged_batch(tiny.model.config.vocab_size, length=14))
    found = attention_flow(tiny.model, batch)
    np.testing.assert_allclose(padded[:, : found.shape[1]], found, rtol=0, atol=2e-6)
    assert (padded[:, found.shape[1] :] == 0).all()


def test_network_by_hand():
    lower, upper = np.array([[1.0, 0.0], [0.25, 0.75]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    network = flow_network(np.stack([lower, upper]), np.array([0.0, 1.0])).toarray() / UNITS
    expected = np.zeros((7, 7))
    expected[0, 1:3] = [0.0, 1.0]
    expected[1:3, 3:5] = upper
    expected[3:5, 5:7] = lower
    np.testing.assert_array_equal(network, expected)


def test_a_token_beyond_the_vocabulary_is_refused(tiny: TinyModel):
    with pytest.raises(ValueError, match="token 31"):
        attention_flow(tiny.model, Batch.from_sequences([[1, 31, 3]], [(1, 3)]))
