"""The penalty on activations: its value against NumPy, its gradient against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.answered import Answered, answer_captures
from jaxeap.rl.regularisers import ActivationCorrelation, activation_correlation, add_penalty

pytestmark = pytest.mark.standard_promotion

ANSWERED = Answered.from_tokens([([3, 4, 9], [5, 6, 1]), ([3], [7, 1]), ([8, 2], [9]), ([5, 5], [6, 7, 8])])


def test_value_equals_a_loop_over_sources_and_pairs(model: Decoder) -> None:
    captures, predicting = answer_captures(model.weights, model.config, ANSWERED)
    heads, mlp = (np.asarray(x, np.float64) for x in (captures.layers.heads, captures.layers.mlp))
    projection = np.asarray(model.weights["layers"]["output"], np.float64)
    correlations = []
    for layer in range(2):
        attention = np.einsum("bthk,hkd->btd", heads[layer], projection[layer])
        for written in (attention, mlp[layer]):
            vectors = [written[b, np.asarray(predicting)[b][ANSWERED.mask[b]]].mean(axis=0) for b in range(4)]
            matrix = np.corrcoef(vectors)
            correlations += [matrix[b, c] for b in range(4) for c in range(4) if b != c]
    found = float(activation_correlation(model.weights, model.config, ANSWERED))
    assert found == pytest.approx(np.mean(correlations), abs=1e-5)
    assert -1 / 3 < found < 1


def test_equal_examples_correlate_perfectly(model: Decoder) -> None:
    equal = Answered.from_tokens([([3, 4], [5, 1])] * 3)
    assert float(activation_correlation(model.weights, model.config, equal)) == pytest.approx(1.0, abs=1e-5)


def test_tokens_behind_an_answer_do_not_matter(model: Decoder) -> None:
    rubbish = Answered(
        ANSWERED.prompts,
        ANSWERED.prompt_lengths,
        np.where(ANSWERED.mask, ANSWERED.answers, 30),
        ANSWERED.mask,
    )
    clean, dirty = (activation_correlation(model.weights, model.config, x) for x in (ANSWERED, rubbish))
    assert float(clean) == pytest.approx(float(dirty), abs=1e-6)


def test_gradient_agrees_with_finite_differences(model: Decoder) -> None:
    penalty = ActivationCorrelation(0.7)
    gradients = jax.grad(lambda w: penalty(w, model.config, ANSWERED))(model.weights)
    norm = np.sqrt(sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(gradients)))
    step = 3e-3 / norm  # the correlation bends: at 1e-2 the third derivative shows
    up, down = (jax.tree.map(lambda w, g, s=s: w + s * step * g, model.weights, gradients) for s in (1, -1))
    values = [float(penalty(w, model.config, ANSWERED)) for w in (up, down)]
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(norm**2, rel=1e-3)


def test_no_penalty_leaves_loss_and_metrics(model: Decoder) -> None:
    loss, metrics = add_penalty(None, jnp.float32(2.0), {"kl": jnp.float32(1.0)}, model.weights, model.config, ANSWERED)
    assert float(loss) == 2.0 and list(metrics) == ["kl"]


def test_one_example_is_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="at least 2 of them, found 1"):
        activation_correlation(model.weights, model.config, ANSWERED.take(np.arange(1)))
