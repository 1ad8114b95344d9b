"""GRPO: each part of the loss against NumPy and finite differences, the training against what it must do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.answered import Answered, answer_log_probs
from jaxeap.rl.grpo import GRPOSettings, group_advantages, grpo_loss, k3_divergence, train_grpo
from jaxeap.rl.regularisers import ActivationCorrelation, activation_correlation
from jaxeap.rl.training import OptimizerSettings, TrainState

pytestmark = pytest.mark.standard_promotion

CLIP, KL_WEIGHT = 0.2, 0.3


def numpy_advantages(rewards: np.ndarray, group_size: int) -> np.ndarray:
    advantages = []
    for first in range(0, len(rewards), group_size):
        group = rewards[first : first + group_size].astype(np.float64)
        advantages += [(reward - group.mean()) / (group.std() + 1e-4) for reward in group]
    return np.array(advantages)


def numpy_loss(log_probs, old, reference, mask, advantages, constant: bool = False) -> tuple[float, float, float]:
    """Equations 3 and 4 of arXiv 2402.03300, token by token: loss, KL, share of tokens that the clip stops.

    `constant` divides an answer's sum by the 5 tokens that it may have, not by those that it has.
    """
    objectives, divergences, stopped = [], [], []
    for b in range(len(mask)):
        objective, divergence, stops = [], [], []
        for t in np.flatnonzero(mask[b]):
            ratio = np.exp(log_probs[b, t] - old[b, t])
            limited = min(max(ratio, 1 - CLIP), 1 + CLIP)
            k3 = np.exp(reference[b, t] - log_probs[b, t]) - (reference[b, t] - log_probs[b, t]) - 1
            objective.append(min(ratio * advantages[b], limited * advantages[b]) - KL_WEIGHT * k3)
            divergence.append(k3)
            stops.append(limited * advantages[b] < ratio * advantages[b])
        tokens = 5 if constant else len(objective)
        objectives.append(np.sum(objective) / tokens)
        divergences.append(np.sum(divergence) / tokens)
        stopped.append(np.sum(stops) / tokens)
    return -np.mean(objectives), np.mean(divergences), np.mean(stopped)


@pytest.fixture
def case() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    log_probs = -rng.exponential(1.0, (6, 5))
    return {
        "log_probs": log_probs,
        "old_log_probs": log_probs + rng.normal(0, 0.3, (6, 5)),
        "reference_log_probs": log_probs + rng.normal(0, 0.5, (6, 5)),
        "mask": np.arange(5)[None] < np.array([5, 1, 3, 4, 2, 5])[:, None],
        "advantages": rng.normal(size=6),
    }


def test_advantages_equal_numpy_ones() -> None:
    rewards = np.random.default_rng(0).normal(size=12).astype(np.float32)
    np.testing.assert_allclose(group_advantages(jnp.array(rewards), 4), numpy_advantages(rewards, 4), rtol=1e-4)
    # One right answer in four: (1 - 1/4) / sqrt(3/16) and (0 - 1/4) / sqrt(3/16).
    hand = group_advantages(jnp.array([0.0, 1.0, 0.0, 0.0]), 4, epsilon=0.0)
    np.testing.assert_allclose(hand, np.array([-1, 3, -1, -1]) / np.sqrt(3), rtol=1e-6)


def test_advantages_of_equal_rewards_are_exactly_zero() -> None:
    # 0.1 has no exact mean in float32.
    assert not np.asarray(group_advantages(jnp.array([1.0] * 3 + [0.0] * 3 + [0.1] * 3), 3)).any()


def test_k3_is_never_negative_and_zero_only_at_equality() -> None:
    log_probs = jnp.array([-1.0, -3.0, -0.5, -20.0])
    assert not np.asarray(k3_divergence(log_probs, log_probs)).any()
    shifts = np.array([-5.0, -1e-3, -1e-6, 1e-6, 1e-3, 2.0])
    with jax.enable_x64(True):
        estimates = np.asarray(k3_divergence(jnp.zeros(6), jnp.array(shifts)))
    np.testing.assert_allclose(estimates[[0, 5]], np.exp(shifts[[0, 5]]) - shifts[[0, 5]] - 1, rtol=1e-12)
    np.testing.assert_allclose(estimates[1:5], shifts[1:5] ** 2 / 2, rtol=1e-3)


def test_k3_is_unbiased() -> None:
    rng = np.random.default_rng(1)
    policy, reference = (np.log(rng.dirichlet(np.ones(6))) for _ in range(2))
    exact = np.sum(np.exp(policy) * (policy - reference))
    expected = np.sum(np.exp(policy) * np.asarray(k3_divergence(jnp.array(policy), jnp.array(reference))))
    assert expected == pytest.approx(exact, rel=1e-4)


def test_loss_and_metrics_equal_numpy_ones(case: dict[str, np.ndarray]) -> None:
    expected = numpy_loss(*case.values())
    assert 0.1 < expected[2] < 0.9
    with jax.enable_x64(True):
        loss, metrics = grpo_loss(**jax.tree.map(jnp.array, case), clip=CLIP, kl_weight=KL_WEIGHT)
    np.testing.assert_allclose([loss, metrics["kl"], metrics["clipped"]], expected, rtol=1e-12)


def test_with_constant_token_weight_an_answer_weighs_by_its_length(case: dict[str, np.ndarray]) -> None:
    expected = numpy_loss(*case.values(), constant=True)
    assert abs(expected[0] - numpy_loss(*case.values())[0]) > 1e-3
    with jax.enable_x64(True):
        loss, metrics = grpo_loss(
            **jax.tree.map(jnp.array, case), clip=CLIP, kl_weight=KL_WEIGHT, token_weight="constant"
        )
    np.testing.assert_allclose([loss, metrics["kl"], metrics["clipped"]], expected, rtol=1e-12)


def test_centred_and_leave_one_out_advantages_equal_loops() -> None:
    rewards = np.random.default_rng(2).normal(size=12).astype(np.float32)
    centred, left_out = [], []
    for place, reward in enumerate(rewards):
        first = place // 4 * 4
        centred.append(reward - rewards[first : first + 4].mean())
        left_out.append(reward - np.mean([rewards[other] for other in range(first, first + 4) if other != place]))
    np.testing.assert_allclose(group_advantages(jnp.array(rewards), 4, "centred"), centred, atol=1e-6)
    np.testing.assert_allclose(group_advantages(jnp.array(rewards), 4, "leave_one_out"), left_out, atol=1e-6)
    equal = jnp.array([0.1] * 6)
    assert not any(np.asarray(group_advantages(equal, 3, kind)).any() for kind in ("centred", "leave_one_out"))


def test_what_stands_in_the_padding_does_not_matter(case: dict[str, np.ndarray]) -> None:
    def value_and_gradient(fill: float):
        filled = {name: np.where(case["mask"], case[name], fill) for name in list(case)[:3]}
        arguments = jax.tree.map(jnp.array, case | filled)
        return jax.value_and_grad(
            lambda x: grpo_loss(**arguments | {"log_probs": x}, clip=CLIP, kl_weight=KL_WEIGHT)[0]
        )(arguments["log_probs"])

    clean, dirty = value_and_gradient(0.0), value_and_gradient(-np.inf)
    np.testing.assert_array_equal(clean[0], dirty[0])
    np.testing.assert_array_equal(clean[1], np.where(case["mask"], dirty[1], 0.0))


def test_gradient_agrees_with_finite_differences(case: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(6)
    logits, direction = rng.normal(size=(2, 6, 5, 7))
    chosen = rng.integers(0, 7, (6, 5))
    with jax.enable_x64(True):
        fixed = jax.tree.map(jnp.array, case)

        def loss_of(logits: jax.Array) -> jax.Array:
            log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), jnp.array(chosen)[..., None], -1)[..., 0]
            return grpo_loss(**fixed | {"log_probs": log_probs}, clip=CLIP, kl_weight=KL_WEIGHT)[0]

        slope = float(jnp.vdot(jax.grad(loss_of)(jnp.array(logits)), direction))
        step = 1e-6
        difference = (float(loss_of(logits + step * direction)) - float(loss_of(logits - step * direction))) / (
            2 * step
        )
    assert difference == pytest.approx(slope, rel=1e-6)


def test_gradient_through_the_model_agrees_with_finite_differences(model: Decoder) -> None:
    answered = Answered.from_tokens([([3, 4], [5, 6, 1]), ([3, 4], [7, 1]), ([8], [9, 1]), ([8], [2, 3, 4])])
    old = answer_log_probs(model.weights, model.config, answered)
    rng = np.random.default_rng(0)
    reference = jnp.where(answered.mask, old + rng.normal(0, 0.5, old.shape).astype(np.float32), 0.0)
    advantages = jnp.array([1.0, -1.0, -0.5, 0.5])

    def loss_of(weights):
        log_probs = answer_log_probs(weights, model.config, answered)
        return grpo_loss(log_probs, old, reference, answered.mask, advantages, clip=CLIP, kl_weight=KL_WEIGHT)[0]

    gradients = jax.grad(loss_of)(model.weights)
    norm = np.sqrt(sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(gradients)))
    step = 1e-2 / norm
    up, down = (jax.tree.map(lambda w, g, s=s: w + s * step * g, model.weights, gradients) for s in (1, -1))
    assert (float(loss_of(up)) - float(loss_of(down))) / (2 * step) == pytest.approx(norm**2, rel=1e-3)


def test_the_first_update_is_a_plain_policy_gradient(model: Decoder) -> None:
    """At ratio 1 and without KL, the gradient is that of -mean(A * log p), and the divergence from itself is 0."""
    answered = Answered.from_tokens([([3, 4], [5, 6, 1]), ([3, 4], [7, 1])])
    copied = jax.tree.map(jnp.copy, model.weights)
    old, again = (answer_log_probs(weights, model.config, answered) for weights in (model.weights, copied))
    assert not np.asarray(k3_divergence(old, again)).any()
    advantages = jnp.array([1.0, -2.0])
    (_, metrics), gradient = jax.value_and_grad(
        lambda x: grpo_loss(x, old, old, answered.mask, advantages, clip=CLIP, kl_weight=0.0), has_aux=True
    )(old)
    lengths = answered.mask.sum(axis=1)
    expected = -np.where(answered.mask, np.asarray(advantages)[:, None] / lengths[:, None] / 2, 0.0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)
    assert float(metrics["kl"]) == 0.0 and float(metrics["clipped"]) == 0.0


SETTINGS = GRPOSettings(
    steps=12,
    prompts_per_step=4,
    group_size=8,
    max_new_tokens=2,
    optimizer=OptimizerSettings(learning_rate=1e-2, warmup_steps=2),
)
TRAINING_PROMPTS = [[3], [4, 5], [6], [7, 8, 9], [10], [11, 12]]


def low_first_token(prompts: list[int], answers: list[list[int]]) -> list[float]:
    """A reward that half of the answers of a random model get."""
    return [float(answer[0] < 16) for answer in answers]


def train(model: Decoder, settings: GRPOSettings, state: TrainState | None = None, seed: int = 5):
    state = state or TrainState.start(model.weights, settings.make_optimizer())
    run = train_grpo(
        state, model.config, model.weights, TRAINING_PROMPTS, low_first_token, settings, stop_tokens=(1,), seed=seed
    )
    return [(state, {name: float(value) for name, value in metrics.items()}) for state, metrics in run]


@pytest.fixture(scope="module")
def run(model: Decoder) -> list[tuple[TrainState, dict[str, float]]]:
    return train(model, SETTINGS)


def test_training_raises_the_reward_and_leaves_the_reference(run: list) -> None:
    rewards = [metrics["reward"] for _, metrics in run]
    assert len(run) == 12 and np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.2
    assert run[0][1]["kl"] == pytest.approx(0.0, abs=1e-6) and run[-1][1]["kl"] > 1e-3


def test_training_is_repeatable_and_goes_on_from_any_state(model: Decoder, run: list) -> None:
    jax.tree.map(np.testing.assert_array_equal, train(model, SETTINGS)[-1][0], run[-1][0])
    resumed = train(model, SETTINGS, state=run[7][0])
    assert len(resumed) == 4
    jax.tree.map(np.testing.assert_array_equal, resumed[-1][0], run[-1][0])
    other = train(model, SETTINGS, seed=6)[-1][0]
    assert not np.array_equal(other.weights["embedding"], run[-1][0].weights["embedding"])


def test_only_later_updates_on_the_same_rollouts_meet_the_clip(model: Decoder, run: list) -> None:
    assert not any(metrics["clipped"] for _, metrics in run)
    settings = dataclasses.replace(SETTINGS, steps=2, updates_per_rollout=3)
    thrice = train(model, settings)
    assert thrice[-1][1]["clipped"] > 0.0
    assert [int(state.updates) for state, _ in thrice] == [3, 6]


def test_later_batches_of_a_round_were_drawn_by_an_older_policy(model: Decoder, run: list) -> None:
    """All batches of a round are answered by the policy of its beginning, so the first round's are the base's."""
    settings = dataclasses.replace(SETTINGS, steps=3, prompts_per_step=2, batches_per_rollout=3)
    stale = train(model, settings)
    assert [int(state.updates) for state, _ in stale] == [3, 6, 9]
    assert stale[-1][1]["clipped"] > 0.0
    resumed = train(model, settings, state=stale[0][0])
    jax.tree.map(np.testing.assert_array_equal, resumed[-1][0], stale[-1][0])
    # One batch a round is what it was before there could be more.
    whole = dataclasses.replace(SETTINGS, steps=1, prompts_per_step=6)
    parts = dataclasses.replace(SETTINGS, steps=1, prompts_per_step=3, batches_per_rollout=2)
    assert train(model, whole)[0][1]["reward"] == train(model, parts)[0][1]["reward"]


@pytest.mark.parametrize("advantage", ["centred", "leave_one_out"])
def test_relatives_of_grpo_raise_the_reward_too(model: Decoder, advantage: str) -> None:
    settings = dataclasses.replace(SETTINGS, advantage=advantage, token_weight="constant")
    rewards = [metrics["reward"] for _, metrics in train(model, settings)]
    assert np.mean(rewards[-3:]) > np.mean(rewards[:3]) + 0.2


@pytest.mark.slow
def test_a_penalty_is_told_and_obeyed(model: Decoder) -> None:
    runs = [
        train(model, dataclasses.replace(SETTINGS, penalty=None if weight == 0 else ActivationCorrelation(weight)))
        for weight in (-0.5, 0.0, 0.5)
    ]
    answered = Answered.from_tokens([([3, 4], [5, 6]), ([6], [7, 8]), ([8, 9], [9, 3]), ([10], [2, 3])])
    alike = [float(activation_correlation(run[-1][0].weights, model.config, answered)) for run in runs]
    assert alike[0] > alike[1] + 0.02 and alike[1] > alike[2] + 0.02
    assert "penalty" not in runs[1][0][1] and runs[0][0][1]["penalty"] < 0 < runs[2][0][1]["penalty"]


def test_the_kl_term_holds_the_policy_back(model: Decoder, run: list) -> None:
    held = train(model, dataclasses.replace(SETTINGS, kl_weight=3.0))
    assert held[-1][1]["kl"] < 0.5 * run[-1][1]["kl"]


def test_impossible_settings_and_inputs_are_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="group_size at least 2"):
        GRPOSettings(group_size=1)
    with pytest.raises(ValueError, match="advantage must be one of standardized, centred, leave_one_out"):
        GRPOSettings(advantage="none")
    with pytest.raises(ValueError, match="6 prompts are fewer than the 32"):
        train(model, GRPOSettings())
    settings = GRPOSettings(2, 4, 2, 2, updates_per_rollout=2)
    state = TrainState.start(model.weights, settings.make_optimizer())
    with pytest.raises(ValueError, match="1 updates into a round"):
        train(model, settings, TrainState(state.weights, state.optimizer_state, jnp.int32(1)))
