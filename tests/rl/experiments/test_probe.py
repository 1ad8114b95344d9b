"""Entropy and divergence against NumPy; a model beside itself."""

import jax
import numpy as np
import pytest

from jaxeap.models.save import save_model
from jaxeap.rl.answered import Answered
from jaxeap.rl.experiments.probe import entropy_and_divergence, probe_model
from jaxeap.tasks.tokenizer import arithmetic_tokenizer
from tests.tiny_decoder import tiny_decoder

ANSWERED = Answered.from_tokens([([3, 4, 5], [6, 7]), ([8], [9, 10, 11]), ([2, 3], [4])])


def distributions(model) -> np.ndarray:
    """[tokens of all answers, V] float64, one token at a time."""
    rows = []
    for prompt, length, answer, mask in zip(
        ANSWERED.prompts, ANSWERED.prompt_lengths, ANSWERED.answers, ANSWERED.mask, strict=True
    ):
        tokens = [*prompt[:length], *answer[mask]]
        for place in range(length, len(tokens)):
            logits = np.asarray(model(np.array([tokens[:place]], np.int32))[0, -1], np.float64)
            rows.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
    return np.array(rows)


def test_against_numpy():
    model = tiny_decoder()
    other = type(model)(model.config, jax.tree.map(lambda leaf: 1.2 * leaf, model.weights))
    p, q = distributions(model), distributions(other)
    entropy, divergence = entropy_and_divergence(model.weights, other.weights, model.config, ANSWERED)
    assert float(entropy) == pytest.approx(-(p * np.log(p)).sum(axis=1).mean(), rel=1e-5)
    assert float(divergence) == pytest.approx((p * np.log(p / q)).sum(axis=1).mean(), rel=1e-3)


@pytest.mark.slow
def test_model_beside_itself(tmp_path):
    save_model(tiny_decoder(), tmp_path / "model", arithmetic_tokenizer())
    found = probe_model(tmp_path / "model", tmp_path / "model", "arithmetic:test", 8)
    assert found["divergence"] == found["moved_share"] == found["relative_distance"] == 0
    assert 0 < found["entropy"] <= np.log(32) and 0 <= found["greedy_accuracy"] <= 1
