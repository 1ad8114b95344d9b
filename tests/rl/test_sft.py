"""Supervised fine-tuning: the loss against NumPy, the training against what it must and must not do."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.answered import Answered, answer_log_probs
from jaxeap.rl.regularisers import ActivationCorrelation, activation_correlation
from jaxeap.rl.sft import SFTSettings, sft_loss, sft_step, train_sft
from jaxeap.rl.training import OptimizerSettings, TrainState

pytestmark = pytest.mark.standard_promotion

SETTINGS = SFTSettings(steps=30, batch_size=4, optimizer=OptimizerSettings(learning_rate=1e-2, warmup_steps=3))


@pytest.fixture(scope="module")
def demonstrations() -> Answered:
    """The answer repeats the prompt's first token, and ends."""
    rng = np.random.default_rng(0)
    prompts = [rng.integers(2, 8, size=rng.integers(1, 4)).tolist() for _ in range(14)]
    return Answered.from_tokens([(prompt, [prompt[0], 1]) for prompt in prompts])


def start(model: Decoder) -> TrainState:
    return TrainState.start(model.weights, SETTINGS.make_optimizer())


def test_loss_is_the_mean_over_counted_tokens() -> None:
    rng = np.random.default_rng(1)
    log_probs = -rng.exponential(size=(3, 4)).astype(np.float32)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], bool)
    terms = [-float(log_probs[b, t]) for b in range(3) for t in range(4) if mask[b, t]]
    assert float(sft_loss(jnp.array(log_probs), mask)) == pytest.approx(sum(terms) / 7, rel=1e-6)
    # What stands in the padding does not matter, be it infinite.
    log_probs[~mask] = -np.inf
    assert float(sft_loss(jnp.array(log_probs), mask)) == pytest.approx(sum(terms) / 7, rel=1e-6)


def test_gradient_agrees_with_finite_differences(model: Decoder, demonstrations: Answered) -> None:
    def loss_of(weights):
        return sft_loss(answer_log_probs(weights, model.config, demonstrations), demonstrations.mask)

    gradients = jax.grad(loss_of)(model.weights)
    # Along the gradient itself the change is largest, so that float32 resolves it.
    norm = np.sqrt(sum(float(jnp.sum(leaf**2)) for leaf in jax.tree.leaves(gradients)))
    step = 1e-2 / norm
    up, down = (jax.tree.map(lambda w, g, s=s: w + s * step * g, model.weights, gradients) for s in (1, -1))
    assert (float(loss_of(up)) - float(loss_of(down))) / (2 * step) == pytest.approx(norm**2, rel=1e-3)


def test_training_learns_and_is_repeatable(model: Decoder, demonstrations: Answered) -> None:
    runs = [list(train_sft(start(model), model.config, demonstrations, SETTINGS, seed=7)) for _ in range(2)]
    losses = [float(metrics["loss"]) for _, metrics in runs[0]]
    assert len(losses) == 30 and np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    jax.tree.map(np.testing.assert_array_equal, runs[0][-1][0], runs[1][-1][0])
    other = list(train_sft(start(model), model.config, demonstrations, SETTINGS, seed=8))[-1][0]
    assert not np.array_equal(other.weights["embedding"], runs[0][-1][0].weights["embedding"])


def test_training_goes_on_from_any_state_to_the_same_end(model: Decoder, demonstrations: Answered) -> None:
    states = [state for state, _ in train_sft(start(model), model.config, demonstrations, SETTINGS, seed=7)]
    resumed = [state for state, _ in train_sft(states[16], model.config, demonstrations, SETTINGS, seed=7)]
    assert len(resumed) == 13
    jax.tree.map(np.testing.assert_array_equal, resumed[-1], states[-1])


def test_an_epoch_sees_every_demonstration_at_most_once(model: Decoder, demonstrations: Answered, monkeypatch) -> None:
    seen = []

    def record(state, batch, **_):
        seen.append(sorted(map(tuple, np.concatenate([batch.prompts, batch.prompt_lengths[:, None]], axis=1).tolist())))
        return TrainState(state.weights, state.optimizer_state, state.updates + 1), {}

    numbered = Answered(
        np.arange(2, 16, dtype=np.int32)[:, None], np.ones(14, np.int32), demonstrations.answers, demonstrations.mask
    )
    monkeypatch.setattr("jaxeap.rl.sft.sft_step", record)
    list(train_sft(start(model), model.config, numbered, SETTINGS, seed=7))
    epochs = [list(itertools.chain(*seen[first : first + 3])) for first in range(0, 30, 3)]
    assert all(len(set(epoch)) == 12 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_the_step_does_not_change_what_it_was_given(model: Decoder, demonstrations: Answered) -> None:
    before = jax.tree.map(np.array, model.weights)
    sft_step(start(model), demonstrations.take(np.arange(4)), config=model.config, settings=SETTINGS)
    jax.tree.map(np.testing.assert_array_equal, model.weights, before)


def test_a_penalty_is_added_to_the_loss(model: Decoder, demonstrations: Answered) -> None:
    batch = demonstrations.take(np.arange(4))
    settings = SFTSettings(steps=30, batch_size=4, penalty=ActivationCorrelation(0.7))
    _, plain = sft_step(start(model), batch, config=model.config, settings=SETTINGS)
    _, penalized = sft_step(start(model), batch, config=model.config, settings=settings)
    expected = 0.7 * float(activation_correlation(model.weights, model.config, batch))
    assert float(penalized["penalty"]) == pytest.approx(expected, rel=1e-5)
    assert float(penalized["loss"]) == pytest.approx(float(plain["loss"]) + expected, rel=1e-5)
    assert float(penalized["gradient_norm"]) != float(plain["gradient_norm"])


def test_too_few_demonstrations_are_refused(model: Decoder, demonstrations: Answered) -> None:
    with pytest.raises(ValueError, match="3 demonstrations do not fill a batch of 4"):
        next(train_sft(start(model), model.config, demonstrations.take(np.arange(3)), SETTINGS, seed=0))
    with pytest.raises(ValueError, match="at least 1"):
        SFTSettings(steps=0)
