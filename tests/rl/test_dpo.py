"""DPO: the loss against NumPy and finite differences, offline and online training against what they must do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.answered import Answered
from jaxeap.rl.dpo import DPOSettings, dpo_loss, dpo_step, train_dpo
from jaxeap.rl.preferences import Preferences
from jaxeap.rl.training import OptimizerSettings, TrainState

pytestmark = pytest.mark.standard_promotion

BETA, NLL_WEIGHT = 0.7, 0.3


@pytest.fixture
def case() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return (*(-rng.exponential(4.0, (4, 6))), rng.integers(1, 5, 6).astype(np.float64))


def test_loss_and_metrics_equal_numpy_ones(case: tuple[np.ndarray, ...]) -> None:
    losses, margins = [], []
    for chosen, rejected, reference_chosen, reference_rejected, length in zip(*case, strict=True):
        margin = BETA * ((chosen - reference_chosen) - (rejected - reference_rejected))
        losses.append(-np.log(1 / (1 + np.exp(-margin))) - NLL_WEIGHT * chosen / length)
        margins.append(margin)
    assert min(margins) < 0 < max(margins)
    with jax.enable_x64(True):
        loss, metrics = dpo_loss(*map(jnp.array, case), beta=BETA, nll_weight=NLL_WEIGHT)
    np.testing.assert_allclose([loss, metrics["margin"]], [np.mean(losses), np.mean(margins)], rtol=1e-12)
    assert float(metrics["preferred"]) == pytest.approx(np.mean(np.array(margins) > 0))
    ratios = [np.mean(case[0] - case[2]), np.mean(case[1] - case[3])]
    np.testing.assert_allclose([metrics["chosen_log_ratio"], metrics["rejected_log_ratio"]], ratios, rtol=1e-12)


def test_gradient_agrees_with_finite_differences(case: tuple[np.ndarray, ...]) -> None:
    direction = np.random.default_rng(1).normal(size=(2, 6))
    with jax.enable_x64(True):
        fixed = [jnp.array(x) for x in case[2:]]

        def loss_of(both: jax.Array) -> jax.Array:
            return dpo_loss(both[0], both[1], *fixed, beta=BETA, nll_weight=NLL_WEIGHT)[0]

        both, step = jnp.array(case[:2]), 1e-6
        slope = float(jnp.vdot(jax.grad(loss_of)(both), direction))
        difference = (float(loss_of(both + step * direction)) - float(loss_of(both - step * direction))) / (2 * step)
    assert difference == pytest.approx(slope, rel=1e-6)


def test_margins_beyond_what_an_exponential_holds_stay_finite() -> None:
    far = jnp.array([-1e4, 0.0]), jnp.array([0.0, -1e4]), jnp.zeros(2), jnp.zeros(2), jnp.ones(2)
    loss, gradient = jax.value_and_grad(lambda x: dpo_loss(x, *far[1:], beta=1.0, nll_weight=0.0)[0])(far[0])
    assert float(loss) == 5e3 and np.asarray(gradient).tolist() == [-0.5, 0.0]


def test_a_model_has_exactly_no_log_ratio_to_itself(model: Decoder) -> None:
    pairs = Preferences(
        Answered.from_tokens([([3, 4], [5, 6, 1]), ([8], [9, 1, 1])]),
        Answered.from_tokens([([3, 4], [7, 1, 1]), ([8], [2, 3, 4])]),
    )
    settings = DPOSettings(steps=2)
    state = TrainState.start(model.weights, settings.make_optimizer())
    copied = jax.tree.map(jnp.copy, model.weights)
    _, metrics = dpo_step(state, copied, pairs, config=model.config, settings=settings)
    assert [float(metrics[name]) for name in ("margin", "chosen_log_ratio", "rejected_log_ratio")] == [0.0, 0.0, 0.0]


OFFLINE = DPOSettings(
    steps=16,
    prompts_per_draw=24,
    answers_each=6,
    max_new_tokens=2,
    batch_size=16,
    beta=0.3,
    optimizer=OptimizerSettings(learning_rate=1e-2, warmup_steps=2),
)
ONLINE = dataclasses.replace(OFFLINE, online=True, steps=6, updates_per_step=4)
PROMPTS = [[3 + place % 20, 4, 5][: 1 + place % 3] for place in range(30)]


def low_first_token(prompts: list[int], answers: list[list[int]]) -> list[float]:
    """A reward that half of the answers of a random model get."""
    return [float(answer[0] < 16) for answer in answers]


def train(model: Decoder, settings: DPOSettings, state: TrainState | None = None, seed: int = 5):
    state = state or TrainState.start(model.weights, settings.make_optimizer())
    run = train_dpo(state, model.config, model.weights, PROMPTS, low_first_token, settings, stop_tokens=(1,), seed=seed)
    return [(state, {name: float(value) for name, value in metrics.items()}) for state, metrics in run]


@pytest.mark.parametrize(("settings", "stop"), [(OFFLINE, 9), (ONLINE, 2)], ids=["offline", "online"])
def test_training_is_repeatable_and_goes_on_from_any_state(model: Decoder, settings: DPOSettings, stop: int) -> None:
    run = train(model, settings)
    jax.tree.map(np.testing.assert_array_equal, train(model, settings)[-1][0], run[-1][0])
    resumed = train(model, settings, state=run[stop][0])
    assert len(resumed) == settings.steps - 1 - stop
    jax.tree.map(np.testing.assert_array_equal, resumed[-1][0], run[-1][0])
    other = train(model, settings, seed=6)[-1][0]
    assert not np.array_equal(other.weights["embedding"], run[-1][0].weights["embedding"])


def test_offline_training_comes_to_prefer_the_chosen_answers(model: Decoder) -> None:
    run = train(model, OFFLINE)
    assert run[0][1]["margin"] == 0.0 and run[-1][1]["margin"] > 0.5
    assert run[-1][1]["preferred"] > 0.8
    assert len({metrics["pairs"] for _, metrics in run}) == 1


def test_online_training_raises_the_reward_of_its_own_draws(model: Decoder) -> None:
    rewards = [metrics["reward"] for _, metrics in train(model, ONLINE)]
    assert rewards[-1] > rewards[0] + 0.2


def test_impossible_settings_and_inputs_are_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="answers_each at least 2"):
        DPOSettings(answers_each=1)
    with pytest.raises(ValueError, match="offline, a step is one update"):
        DPOSettings(updates_per_step=2)
    with pytest.raises(ValueError, match="30 prompts are fewer than the 2048"):
        train(model, DPOSettings())
    state = TrainState.start(model.weights, ONLINE.make_optimizer())
    with pytest.raises(ValueError, match="1 updates into a round"):
        train(model, ONLINE, TrainState(state.weights, state.optimizer_state, jnp.int32(1)))
