"""PPO: both losses against NumPy and finite differences, the training against what it must do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.answered import Answered, answer_log_probs
from jaxeap.rl.ppo import PPOSettings, PPOState, gather_experience, policy_loss, ppo_step, train_ppo, value_loss
from jaxeap.rl.training import OptimizerSettings, TrainState

pytestmark = pytest.mark.standard_promotion

MASK = np.arange(5)[None] < np.array([5, 1, 3, 4, 2, 5])[:, None]


def arrays(seed: int, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(count, 6, 5)))


def test_policy_loss_equals_a_loop() -> None:
    log_probs, shift, advantages = arrays(0, 3)
    old = log_probs + 0.3 * shift
    terms, stopped = [], []
    for b, t in zip(*np.nonzero(MASK), strict=True):
        ratio = np.exp(log_probs[b, t] - old[b, t])
        limited = min(max(ratio, 0.8), 1.2)
        terms.append(-min(ratio * advantages[b, t], limited * advantages[b, t]))
        stopped.append(limited * advantages[b, t] < ratio * advantages[b, t])
    assert 0.1 < np.mean(stopped) < 0.9
    with jax.enable_x64(True):
        loss, clipped = policy_loss(*map(jnp.array, (log_probs, old, advantages)), MASK, 0.2)
    np.testing.assert_allclose([loss, clipped], [np.mean(terms), np.mean(stopped)], rtol=1e-6)


def test_value_loss_equals_a_loop() -> None:
    values, shift, returns = arrays(1, 3)
    old = values + 0.4 * shift
    terms, limits = [], 0
    for b, t in zip(*np.nonzero(MASK), strict=True):
        near = min(max(values[b, t], old[b, t] - 0.2), old[b, t] + 0.2)
        terms.append(max((values[b, t] - returns[b, t]) ** 2, (near - returns[b, t]) ** 2) / 2)
        limits += (near - returns[b, t]) ** 2 > (values[b, t] - returns[b, t]) ** 2
    assert 3 < limits < MASK.sum() - 3
    with jax.enable_x64(True):
        loss = value_loss(*map(jnp.array, (values, old, returns)), MASK, 0.2)
    assert float(loss) == pytest.approx(np.mean(terms), rel=1e-12)


def test_gradients_agree_with_finite_differences() -> None:
    first, shift, other, direction = arrays(2, 4)
    step = 1e-6
    with jax.enable_x64(True):
        x, old, fixed, along = (jnp.array(a) for a in (first, first + 0.3 * shift, other, direction))
        for loss in (
            lambda x: policy_loss(x, old, fixed, MASK, 0.2)[0],
            lambda x: value_loss(x, old, fixed, MASK, 0.2),
        ):
            slope = float(jnp.vdot(jax.grad(loss)(x), along))
            difference = (float(loss(x + step * along)) - float(loss(x - step * along))) / (2 * step)
            assert difference == pytest.approx(slope, rel=1e-6)


def test_what_stands_in_the_padding_does_not_matter() -> None:
    def gradients(fill: float) -> list[np.ndarray]:
        x, old, other = (jnp.where(MASK, a, fill).astype(jnp.float32) for a in arrays(3, 3))
        policy = jax.grad(lambda x: policy_loss(x, old, other, MASK, 0.2)[0])(x)
        return [np.asarray(policy), np.asarray(jax.grad(lambda x: value_loss(x, old, other, MASK, 0.2))(x))]

    for clean, dirty in zip(gradients(0.0), gradients(100.0), strict=True):
        np.testing.assert_array_equal(np.where(MASK, clean, 0.0), dirty)


SETTINGS = PPOSettings(
    steps=10,
    prompts_per_step=32,
    max_new_tokens=2,
    epochs=2,
    minibatches=2,
    optimizer=OptimizerSettings(learning_rate=1e-2, warmup_steps=2),
    critic_optimizer=OptimizerSettings(learning_rate=2e-2, warmup_steps=0),
)
PROMPTS = [[3 + place % 20, 4, 5][: 1 + place % 3] for place in range(40)]


def low_first_token(prompts: list[int], answers: list[list[int]]) -> list[float]:
    """A reward that half of the answers of a random model get."""
    return [float(answer[0] < 16) for answer in answers]


def train(model: Decoder, settings: PPOSettings, state: PPOState | None = None, seed: int = 5):
    state = state or PPOState.start(model.weights, settings)
    run = train_ppo(state, model.config, model.weights, PROMPTS, low_first_token, settings, stop_tokens=(1,), seed=seed)
    return [(state, {name: float(value) for name, value in metrics.items()}) for state, metrics in run]


@pytest.fixture(scope="module")
def run(model: Decoder) -> list[tuple[PPOState, dict[str, float]]]:
    return train(model, SETTINGS)


def test_training_raises_the_reward_and_teaches_the_critic(run: list) -> None:
    rewards, values = ([metrics[name] for _, metrics in run] for name in ("reward", "value"))
    assert len(run) == 10 and np.mean(rewards[-3:]) > rewards[0] + 0.2
    assert values[0] == 0.0 and abs(values[-1] - rewards[-1]) < 0.35


def test_before_the_first_update_the_divergence_is_exactly_0(run: list) -> None:
    assert run[0][1]["kl"] == 0.0
    assert run[-1][1]["kl"] > 1e-3


def test_training_is_repeatable_and_goes_on_from_any_state(model: Decoder, run: list) -> None:
    jax.tree.map(np.testing.assert_array_equal, train(model, SETTINGS)[-1][0], run[-1][0])
    resumed = train(model, SETTINGS, state=run[5][0])
    assert len(resumed) == 4
    jax.tree.map(np.testing.assert_array_equal, resumed[-1][0], run[-1][0])
    assert [int(state.updates) for state, _ in run] == list(range(4, 44, 4))


def test_the_price_of_divergence_holds_the_policy_back(model: Decoder, run: list) -> None:
    held = train(model, dataclasses.replace(SETTINGS, kl_weight=3.0))
    assert held[-1][1]["kl"] < 0.5 * run[-1][1]["kl"]


def test_the_first_update_is_a_plain_policy_gradient_with_the_advantages(model: Decoder) -> None:
    answered = Answered.from_tokens([([3, 4], [5, 1]), ([3], [7, 1]), ([8, 9], [2, 4]), ([5], [6, 7])])
    state = PPOState.start(model.weights, SETTINGS)
    rewards = jnp.array([1.0, 0.0, 0.0, 1.0])
    experience, _ = gather_experience(state, model.weights, answered, rewards, model.config, SETTINGS)
    # No value and no divergence yet: a token's advantage is the reward, discounted by lambda, whitened.
    raw = np.array([[0.95, 1.0], [0.0, 0.0], [0.0, 0.0], [0.95, 1.0]])
    np.testing.assert_allclose(experience.advantages, (raw - raw.mean()) / raw.std(), atol=1e-5)
    np.testing.assert_allclose(experience.returns, raw, atol=1e-6)
    gradients = jax.grad(
        lambda w: -jnp.mean(experience.advantages * answer_log_probs(w, model.config, answered)),
    )(model.weights)
    norm = np.sqrt(sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(gradients)))
    _, metrics = ppo_step(state, experience, config=model.config, settings=SETTINGS)
    assert float(metrics["gradient_norm"]) == pytest.approx(norm, rel=1e-4)
    assert float(metrics["clipped"]) == 0.0


def test_impossible_settings_and_inputs_are_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="counts must be at least 1"):
        PPOSettings(epochs=0)
    with pytest.raises(ValueError, match="discount and decay"):
        PPOSettings(decay=1.5)
    with pytest.raises(ValueError, match="3 equal minibatches"):
        PPOSettings(minibatches=3)
    with pytest.raises(ValueError, match="40 prompts are fewer than the 256"):
        train(model, PPOSettings())
    state = PPOState.start(model.weights, SETTINGS)
    within = TrainState(state.policy.weights, state.policy.optimizer_state, jnp.int32(3))
    with pytest.raises(ValueError, match="3 updates into a round"):
        train(model, SETTINGS, PPOState(within, state.critic))
