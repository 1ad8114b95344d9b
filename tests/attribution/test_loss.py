"""Truncated self-entropy against NumPy, in one block of targets and in several."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution import loss as loss_module
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.loss import counted_loss, loss_and_gradient_norm, surprise
from jaxeap.models.model import Decoder
from tests.attribution.numpy_graph import weights_of
from tests.attribution.tiny import TinyModel, ragged_batch

WIDTH = 7


@pytest.fixture(scope="module")
def model(tiny: TinyModel) -> Decoder:
    return tiny.model


@pytest.fixture(scope="module")
def wide(model: Decoder) -> Batch:
    """Ragged targets, the longest of 4, in 7 columns."""
    return ragged_batch(model.config.vocab_size, width=WIDTH)


@pytest.fixture(scope="module")
def final(model: Decoder, wide: Batch) -> jax.Array:
    shape = (*wide.tokens.shape, model.config.embed_dim)
    return jnp.asarray(2 * np.random.default_rng(0).normal(size=shape), jnp.float32)


def loss_gradient(model: Decoder, batch: Batch, final: jax.Array) -> jax.Array:
    return jax.jit(jax.grad(lambda x: jnp.sum(counted_loss(model.weights, model.config, x, batch))))(final)


@pytest.fixture(scope="module")
def unblocked_gradient(model: Decoder, wide: Batch, final: jax.Array) -> jax.Array:
    assert wide.targets.shape[1] <= loss_module.TARGET_BLOCK
    return loss_gradient(model, wide, final)


def expected_loss(model: Decoder, batch: Batch, final: jax.Array) -> np.ndarray:
    """Token by token in float64."""
    weights, config = weights_of(model), model.config
    assert config.tied_embeddings
    losses = []
    for row in range(batch.size):
        surprises = []
        for column in range(int(batch.target_mask[row].sum())):
            x = np.asarray(final[row, batch.first[row] - 1 + column], np.float64)
            logits = weights["embedding"] @ (x / np.sqrt(np.mean(x**2) + config.norm_epsilon) * weights["final_norm"])
            surprises.append(np.log(np.exp(logits).sum()) - logits[batch.targets[row, column]])
        losses.append(np.mean(surprises))
    return np.array(losses)


@pytest.mark.parametrize("block", [1, 3, WIDTH])
def test_loss_and_gradient_whatever_the_block(
    model: Decoder,
    wide: Batch,
    final: jax.Array,
    unblocked_gradient: jax.Array,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(loss_module, "TARGET_BLOCK", block)
    losses = jax.jit(functools.partial(counted_loss, model.weights, model.config, batch=wide))(final=final)
    assert losses.dtype == jnp.float32 and losses.shape == (wide.size,)
    np.testing.assert_allclose(losses, expected_loss(model, wide, final), rtol=1e-6)

    gradient = loss_gradient(model, wide, final)
    np.testing.assert_allclose(
        gradient, unblocked_gradient, rtol=0, atol=1e-6 * float(jnp.abs(unblocked_gradient).max())
    )


def test_gradient_norm_against_the_gradient_by_hand(model: Decoder, wide: Batch, final: jax.Array):
    """dL/dx of a token: through softmax, embedding and RMS norm, in float64."""
    weights, config = weights_of(model), model.config
    losses, norms = jax.jit(functools.partial(loss_and_gradient_norm, model.weights, config, batch=wide))(final=final)
    np.testing.assert_allclose(losses, expected_loss(model, wide, final), rtol=1e-6)
    for row in range(wide.size):
        squares, count = 0.0, int(wide.target_mask[row].sum())
        for column in range(count):
            x = np.asarray(final[row, wide.first[row] - 1 + column], np.float64)
            rms = np.sqrt(np.mean(x**2) + config.norm_epsilon)
            logits = weights["embedding"] @ (x / rms * weights["final_norm"])
            by_logits = np.exp(logits) / np.exp(logits).sum()
            by_logits[wide.targets[row, column]] -= 1
            by_normed = weights["final_norm"] * (weights["embedding"].T @ by_logits)
            by_x = by_normed / rms - x * (x @ by_normed) / (len(x) * rms**3)
            squares += np.sum((by_x / count) ** 2)
        np.testing.assert_allclose(norms[row], np.sqrt(squares), rtol=1e-5)


def test_only_the_positions_that_predict_counted_tokens_matter(wide: Batch, unblocked_gradient: jax.Array):
    reads = np.abs(np.asarray(unblocked_gradient)).max(axis=2) > 0
    expected = np.zeros_like(reads)
    for row, (first, count) in enumerate(zip(wide.first, wide.target_mask.sum(axis=1), strict=True)):
        expected[row, first - 1 : first - 1 + count] = True
    np.testing.assert_array_equal(reads, expected)


def test_an_example_weighs_the_same_however_many_tokens_others_count(model: Decoder):
    sequences, ranges = [[3, 1, 4, 1, 5, 9], [2, 7, 1, 8, 2, 8]], [(1, 6), (5, 6)]
    both = Batch.from_sequences(sequences, ranges)
    final = jnp.asarray(np.random.default_rng(1).normal(size=(2, 5, model.config.embed_dim)), jnp.float32)
    together = jax.jit(counted_loss, static_argnums=1)(model.weights, model.config, final, both)
    for row in range(2):
        alone = Batch.from_sequences(sequences[row : row + 1], ranges[row : row + 1], length=5)
        single = jax.jit(counted_loss, static_argnums=1)(model.weights, model.config, final[row : row + 1], alone)
        np.testing.assert_allclose(single[0], together[row], rtol=1e-6)


@pytest.mark.parametrize("lead", [0.0, 8.0, 14.0, 30.0])
def test_a_sure_model_loses_no_digits(lead: float) -> None:
    logits = np.random.default_rng(1).normal(size=(5, 33)).astype(np.float32)
    targets = np.arange(5, dtype=np.int32)
    logits[targets, targets] += np.float32(lead)
    exact = logits.astype(np.float64)
    others = np.where(np.arange(33) == targets[:, None], -np.inf, exact)
    odds = np.exp(others).sum(axis=1) / np.exp(exact[targets, targets])
    expected_gradient = np.exp(others) / np.exp(exact).sum(axis=1, keepdims=True)
    expected_gradient[targets, targets] = -odds / (1 + odds)

    found, gradient = jax.jit(jax.value_and_grad(lambda x: jnp.sum(surprise(x, targets))))(logits)
    np.testing.assert_allclose(found, np.log1p(odds).sum(), rtol=3e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=3e-6)
