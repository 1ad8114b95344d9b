"""Schedule, optimizer and the following of runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.rl.training import OptimizerSettings, TrainState, follow, learning_rates, make_optimizer

pytestmark = pytest.mark.standard_promotion


def test_rates_rise_linearly_then_fall_by_a_cosine() -> None:
    rates = learning_rates(OptimizerSettings(learning_rate=1.0, warmup_steps=4, final_share=0.1), updates=14)
    np.testing.assert_allclose([rates(step) for step in range(5)], [0.2, 0.4, 0.6, 0.8, 1.0], rtol=1e-6)
    half = 0.1 + 0.9 * 0.5
    np.testing.assert_allclose([rates(9), rates(14)], [half, 0.1], rtol=1e-6)


def test_rates_can_stay_constant() -> None:
    rates = learning_rates(OptimizerSettings(learning_rate=0.5, warmup_steps=0), updates=10)
    np.testing.assert_allclose([rates(step) for step in range(10)], 0.5)


def test_first_update_is_clipped_adamw() -> None:
    settings = OptimizerSettings(learning_rate=0.1, warmup_steps=0, weight_decay=0.5, clip_norm=1.0)
    optimizer = make_optimizer(settings, 10)
    weights = {"a": jnp.array([2.0, -1.0]), "b": {"c": jnp.array([[4.0]])}}
    gradients = {"a": jnp.array([300.0, 0.0]), "b": {"c": jnp.array([[-400.0]])}}
    state = TrainState.start(weights, optimizer).update(gradients, optimizer)
    # Bias-corrected, Adam's first step is rate * sign(gradient) whatever the norm; decay is added to it.
    np.testing.assert_allclose(state.weights["a"], [2.0 - 0.1 * (1 + 0.5 * 2.0), -1.0 + 0.1 * 0.5], rtol=1e-5)
    np.testing.assert_allclose(state.weights["b"]["c"], [[4.0 - 0.1 * (-1 + 0.5 * 4.0)]], rtol=1e-5)
    assert int(state.updates) == 1
    moments = [leaf for leaf in jax.tree.leaves(state.optimizer_state) if leaf.shape == (2,)]
    # Clipped to norm 1 the gradient of 300, 400 is 0.6, -0.8; the first moment takes a tenth of it.
    assert any(np.allclose(leaf, [0.06, 0.0], atol=1e-6) for leaf in moments)


@pytest.mark.parametrize("changes", [dict(learning_rate=0.0), dict(warmup_steps=-1), dict(final_share=1.5)])
def test_settings_without_sense_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        OptimizerSettings(**(dict(learning_rate=0.1, warmup_steps=1) | changes))


def test_follow_says_ten_lines_and_returns_the_last_state() -> None:
    optimizer = make_optimizer(OptimizerSettings(learning_rate=0.1, warmup_steps=0), 20)
    first = TrainState.start({"a": jnp.ones(2)}, optimizer)
    states = [first.update({"a": jnp.ones(2)}, optimizer) for _ in range(20)]
    said: list[str] = []
    last = follow(((state, {"loss": jnp.float32(i)}) for i, state in enumerate(states)), 20, "sft", said.append)
    assert last is states[-1]
    assert len(said) == 10 and said[-1] == "sft 20/20  loss 19"
    with pytest.raises(FloatingPointError, match="step 2: training diverged"):
        follow(((state, {"loss": jnp.float32(np.nan)}) for state in states), 20, "sft", said.append)
    with pytest.raises(ValueError, match="no step"):
        follow(iter([]), 20, "sft", said.append)
