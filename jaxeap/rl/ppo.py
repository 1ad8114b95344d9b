"""Proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347) of a language model's answers.

As in Ouyang et al. 2022 (arXiv 2203.02155): a critic that values every token, generalized advantages, a divergence from
the model before RL that is charged token by token, and the details of Huang et al. 2024 (arXiv 2403.17031): whitened
advantages, clipped values, a critic apart from the policy.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.rl.advantages import generalized_advantages, token_rewards, whiten
from jaxeap.rl.answered import Answered, Array, answer_log_probs
from jaxeap.rl.critic import answer_values, make_critic
from jaxeap.rl.rewards import Reward
from jaxeap.rl.rollouts import roll_out
from jaxeap.rl.training import Metrics, OptimizerSettings, TrainState, make_optimizer
from jaxeap.sampling.batching import pad_right


@dataclasses.dataclass(frozen=True)
class PPOSettings:
    """How to train; the defaults are the lab's recipe for its 0.6 M model.

    Attributes:
      steps: rounds of rollouts.
      prompts_per_step: different prompts in a round, each answered once.
      max_new_tokens: an answer that has not ended by then is cut (and graded as wrong).
      temperature: of the rollouts; the policy that is optimized is the one at this temperature.
      epochs: passes over a round.
      minibatches: updates in a pass; the answers are dealt out at random.
      clip: how far a token's probability ratio may move from 1 before it stops earning.
      value_clip: how far a value may move from the one before the round before it stops paying.
      kl_weight: price of a nat of log p / p_ref at each token.
      discount: gamma.
      decay: lambda of the advantages.
      optimizer: settings of the policy's.
      critic_optimizer: settings of the critic's.
    """

    steps: int = 40
    prompts_per_step: int = 256
    max_new_tokens: int = 4
    temperature: float = 1.0
    epochs: int = 2
    minibatches: int = 1
    clip: float = 0.2
    value_clip: float = 0.2
    kl_weight: float = 0.01
    discount: float = 1.0
    decay: float = 0.95
    optimizer: OptimizerSettings = dataclasses.field(
        default_factory=lambda: OptimizerSettings(learning_rate=2e-4, warmup_steps=10, b2=0.99)
    )
    critic_optimizer: OptimizerSettings = dataclasses.field(
        default_factory=lambda: OptimizerSettings(learning_rate=1e-3, warmup_steps=0, b2=0.99)
    )

    def __post_init__(self) -> None:
        counts = (self.steps, self.prompts_per_step, self.max_new_tokens, self.epochs, self.minibatches)
        if min(counts) < 1 or min(self.temperature, self.clip, self.value_clip) <= 0 or self.kl_weight < 0:
            raise ValueError(
                "counts must be at least 1, temperature, clip and value_clip above 0, kl_weight 0 or more; "
                f"found {self}"
            )
        if not (0 <= self.discount <= 1 and 0 <= self.decay <= 1):
            raise ValueError(f"discount and decay go from 0 to 1; found {self.discount} and {self.decay}")
        if self.prompts_per_step % self.minibatches:
            raise ValueError(f"{self.prompts_per_step} prompts cannot be dealt to {self.minibatches} equal minibatches")

    @property
    def updates_per_step(self) -> int:
        """Updates in a round."""
        return self.epochs * self.minibatches

    def make_optimizer(self) -> optax.GradientTransformation:
        """The policy's optimizer of a whole run."""
        return make_optimizer(self.optimizer, self.steps * self.updates_per_step)

    def make_critic_optimizer(self) -> optax.GradientTransformation:
        """The critic's optimizer of a whole run."""
        return make_optimizer(self.critic_optimizer, self.steps * self.updates_per_step)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PPOState:
    """All that a run needs to go on.

    Attributes:
      policy: the model in training.
      critic: of `make_critic`, in training beside it.
    """

    policy: TrainState
    critic: TrainState

    @classmethod
    def start(cls, weights: Weights, settings: PPOSettings) -> PPOState:
        """Before the first update, with a critic on a copy of the policy."""
        return cls(
            TrainState.start(weights, settings.make_optimizer()),
            TrainState.start(make_critic(weights), settings.make_critic_optimizer()),
        )

    @property
    def weights(self) -> Weights:
        """The policy's."""
        return self.policy.weights

    @property
    def updates(self) -> jax.Array:
        """How many updates were made, of the policy as of the critic."""
        return self.policy.updates


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Experience:
    """What a round is learned from.

    Attributes:
      answered: B prompts and answers.
      log_probs: [B, N] of the policy that drew them.
      values: [B, N] of the critic of that time.
      advantages: [B, N], whitened over the round.
      returns: [B, N], what the values should have been.
    """

    answered: Answered
    log_probs: jax.Array
    values: jax.Array
    advantages: jax.Array
    returns: jax.Array


def policy_loss(
    log_probs: jax.Array, old_log_probs: jax.Array, advantages: jax.Array, mask: Array, clip: float
) -> tuple[jax.Array, jax.Array]:
    """Minus the clipped objective (equation 7 of the paper), the mean over all the answers' tokens of

        min(ratio * A, clip(ratio, 1 - clip, 1 + clip) * A),   ratio = p / p_old.

    Args:
      log_probs: [B, N] of the policy in training, the only ones that gradients flow through.
      old_log_probs: [B, N] of the policy that drew the answers.
      advantages: [B, N].
      mask: [B, N] bool, the answers' tokens.
      clip: how far the ratio may move from 1.

    Returns:
      The loss, and the share of tokens at which the clip takes the gradient away.
    """
    chex.assert_equal_shape((log_probs, old_log_probs, advantages, mask))
    # Padding must not reach an exponential: its inf times 0 would be nan.
    ratio = jnp.exp(jnp.where(mask, log_probs - old_log_probs, 0.0))
    earned, clipped = ratio * advantages, jnp.clip(ratio, 1 - clip, 1 + clip) * advantages
    return -masked_mean(jnp.minimum(earned, clipped), mask), masked_mean((clipped < earned).astype(jnp.float32), mask)


def value_loss(values: jax.Array, old_values: jax.Array, returns: jax.Array, mask: Array, clip: float) -> jax.Array:
    """Half the mean over all the answers' tokens of the larger of the squared errors with and without the clip.

    Args:
      values: [B, N] of the critic in training, the only ones that gradients flow through.
      old_values: [B, N] of the critic before the round.
      returns: [B, N].
      mask: [B, N] bool, the answers' tokens.
      clip: how far a value may move from the old one.
    """
    chex.assert_equal_shape((values, old_values, returns, mask))
    near = old_values + jnp.clip(values - old_values, -clip, clip)
    return 0.5 * masked_mean(jnp.maximum(jnp.square(values - returns), jnp.square(near - returns)), mask)


def masked_mean(per_token: jax.Array, mask: Array) -> jax.Array:
    """Mean over the entries where `mask` is True."""
    return jnp.sum(jnp.where(mask, per_token, 0.0)) / jnp.sum(mask)


@functools.partial(jax.jit, static_argnames=("config", "settings"))
def ppo_step(
    state: PPOState, batch: Experience, *, config: ModelConfig, settings: PPOSettings
) -> tuple[PPOState, Metrics]:
    """One update of policy and critic."""
    mask = batch.answered.mask

    def policy_loss_of(weights: Weights) -> tuple[jax.Array, jax.Array]:
        log_probs = answer_log_probs(weights, config, batch.answered, settings.temperature)
        return policy_loss(log_probs, batch.log_probs, batch.advantages, mask, settings.clip)

    def value_loss_of(critic: Weights) -> jax.Array:
        values = answer_values(critic, config, batch.answered)
        return value_loss(values, batch.values, batch.returns, mask, settings.value_clip)

    (loss, clipped), gradients = jax.value_and_grad(policy_loss_of, has_aux=True)(state.policy.weights)
    critic_loss, critic_gradients = jax.value_and_grad(value_loss_of)(state.critic.weights)
    state = PPOState(
        state.policy.update(gradients, settings.make_optimizer()),
        state.critic.update(critic_gradients, settings.make_critic_optimizer()),
    )
    norm = optax.tree.norm(gradients)
    return state, {"loss": loss, "value_loss": critic_loss, "clipped": clipped, "gradient_norm": norm}


def train_ppo(
    state: PPOState,
    config: ModelConfig,
    reference: Weights,
    prompts: Sequence[Sequence[int]],
    reward: Reward,
    settings: PPOSettings,
    *,
    stop_tokens: tuple[int, ...],
    seed: int,
) -> Iterator[tuple[PPOState, Metrics]]:
    """Trains on answers of its own.

    Goes on from the state's number of updates (which must be the end of a round); the prompts and draws of a round
    depend on the seed, its number and the weights only.

    Args:
      state: where to start: `PPOState.start(weights, settings)`, or any later state of a run.
      config: the decoder's shape.
      reference: weights that the policy is held close to, as a rule those that training began with.
      prompts: token lists to draw from, each equally likely, no one twice in a round.
      reward: what the answers are worth.
      settings: how to train.
      stop_tokens: tokens that end an answer.
      seed: of the prompts, of the rollouts and of the minibatches.

    Yields:
      State and metrics after each round: "reward", "kl" (mean over tokens of log p / p_ref), "entropy" (mean -log p of
      the drawn tokens), "value" (mean), and of the last update "loss", "value_loss", "clipped" and "gradient_norm".

    Raises:
      ValueError: there are fewer prompts than a round takes, or the state stands within a round.
    """
    if len(prompts) < settings.prompts_per_step:
        raise ValueError(f"{len(prompts)} prompts are fewer than the {settings.prompts_per_step} of a round")
    first_round, within = divmod(int(state.updates), settings.updates_per_step)
    if within:
        raise ValueError(f"the state stands {within} updates into a round; go on from the state after a round")
    padded, lengths = pad_right(prompts, max(len(prompt) for prompt in prompts), len(prompts))
    key = jax.random.key(seed)
    for round_ in range(first_round, settings.steps):
        rng = np.random.default_rng([seed, round_])
        drawn = rng.choice(len(prompts), size=settings.prompts_per_step, replace=False)
        answers = roll_out(
            state.weights,
            config,
            padded[drawn],
            lengths[drawn],
            jax.random.fold_in(key, round_),
            answers_each=1,
            max_new_tokens=settings.max_new_tokens,
            stop_tokens=stop_tokens,
            temperature=settings.temperature,
        )
        rewards = jnp.array(reward(drawn.tolist(), answers.answer_lists()), jnp.float32)
        experience, metrics = gather_experience(state, reference, answers.answered, rewards, config, settings)
        for _ in range(settings.epochs):
            for rows in np.split(rng.permutation(settings.prompts_per_step), settings.minibatches):
                batch = jax.tree.map(lambda array, rows=rows: array[rows], experience)
                state, learned = ppo_step(state, batch, config=config, settings=settings)
        yield state, {"reward": jnp.mean(rewards), **metrics, **learned}


@functools.partial(jax.jit, static_argnames=("config", "settings"))
def gather_experience(
    state: PPOState,
    reference: Weights,
    answered: Answered,
    rewards: jax.Array,
    config: ModelConfig,
    settings: PPOSettings,
) -> tuple[Experience, Metrics]:
    """Values, advantages and returns of the policy's own answers.

    The answers' log-probabilities are taken teacher-forced from policy and reference alike, so that they differ by
    nothing as long as the weights do.
    """
    mask = answered.mask
    log_probs = answer_log_probs(state.weights, config, answered, settings.temperature)
    reference_log_probs = answer_log_probs(reference, config, answered, settings.temperature)
    values = answer_values(state.critic.weights, config, answered)
    advantages = generalized_advantages(
        token_rewards(rewards, log_probs, reference_log_probs, mask, settings.kl_weight),
        values,
        mask,
        discount=settings.discount,
        decay=settings.decay,
    )
    experience = Experience(answered, log_probs, values, whiten(advantages, mask), advantages + values)
    metrics = {
        "kl": masked_mean(log_probs - reference_log_probs, mask),
        "entropy": -masked_mean(log_probs, mask),
        "value": masked_mean(values, mask),
    }
    return experience, metrics
