"""KL of two models token by token, against NumPy on whole logits."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy.special import log_softmax

from jaxeap.attribution import divergence
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.divergence import head_of, predicting_residuals, token_divergences
from jaxeap.models.model import Decoder
from tests.attribution.tiny import TinyModel


def residuals(model: Decoder, batch: Batch) -> np.ndarray:
    """[M, D] of the counted tokens, example after example."""
    return np.asarray(predicting_residuals(model.weights, model.config, batch))[batch.target_mask]


def other_model(tiny: TinyModel) -> Decoder:
    return Decoder(tiny.model.config, jax.tree.map(lambda weight: 1.05 * weight, tiny.model.weights))


def measured(model: Decoder, other: Decoder, batch: Batch) -> np.ndarray:
    heads = [head_of(each.weights, each.config) for each in (model, other)]
    assert all("layers" not in head for head in heads)
    return token_divergences(
        heads[0], model.config, residuals(model, batch), heads[1], other.config, residuals(other, batch)
    )


@pytest.mark.parametrize("at_once", [3, 64])
def test_divergence_of_whole_distributions(
    tiny: TinyModel, batch: Batch, at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(divergence, "TOKENS_AT_ONCE", at_once)
    other = other_model(tiny)
    log_p, log_q = (
        log_softmax(np.asarray(m(batch.tokens, batch.mask), np.float64), axis=-1) for m in (tiny.model, other)
    )
    expected = [
        np.sum(np.exp(log_p[row, place]) * (log_p[row, place] - log_q[row, place]))
        for row in range(batch.size)
        for place in batch.first[row] - 1 + np.arange(batch.target_mask[row].sum())
    ]
    np.testing.assert_allclose(measured(tiny.model, other, batch), expected, rtol=2e-5, atol=1e-9)


def test_small_and_large_divergences_keep_their_digits():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 50)) * np.array([[1.0], [5.0], [1.0], [1.0]])
    changes = rng.normal(size=(4, 50)) * np.array([[1e-3], [1e-3], [1.0], [100.0]])  # The last: q of 0 in float32.
    p, q = (log_softmax(each, axis=-1).astype(np.float32) for each in (logits, logits + changes))
    wide_p, wide_q = (log_softmax(each.astype(np.float64), axis=-1) for each in (p, q))
    expected = np.sum(np.exp(wide_p) * (wide_p - wide_q), axis=-1)
    assert expected[0] < 2e-6 and expected[3] > 50
    np.testing.assert_allclose(divergence._divergence(p, q), expected, rtol=1e-3)


def test_a_model_and_itself_are_exactly_0_apart(tiny: TinyModel, tiny_plain: TinyModel, batch: Batch):
    for each in (tiny, tiny_plain):
        assert not measured(each.model, each.model, batch).any()


def test_an_untied_model_keeps_only_what_makes_logits(tiny_plain: TinyModel):
    head = head_of(tiny_plain.model.weights, tiny_plain.model.config)
    assert head.keys() == {"final_norm", "unembedding"}


def test_a_padded_vocabulary_is_normalised_over_the_tokens_that_both_have(tiny: TinyModel, batch: Batch):
    rows = residuals(tiny.model, batch)
    head, config = head_of(tiny.model.weights, tiny.model.config), tiny.model.config
    padded = head | {"embedding": np.pad(head["embedding"], ((0, 5), (0, 0)), constant_values=1.0)}
    wider = dataclasses.replace(config, vocab_size=config.vocab_size + 5)
    found = token_divergences(head, config, rows, padded, wider, rows)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_no_tokens_have_no_divergence(tiny: TinyModel):
    head, config = head_of(tiny.model.weights, tiny.model.config), tiny.model.config
    nothing = np.zeros((0, config.embed_dim), np.float32)
    assert token_divergences(head, config, nothing, head, config, nothing).shape == (0,)
