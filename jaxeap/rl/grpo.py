"""Group relative policy optimization (Shao et al. 2024, "DeepSeekMath", arXiv 2402.03300), with outcome rewards.

Two settings tell GRPO from its relatives: what an answer is measured against, and what its tokens are divided by.

    method    advantage          token_weight
    GRPO      "standardized"     "answer"
    Dr. GRPO  "centred"          "constant"     Liu et al. 2025, arXiv 2503.20783
    RLOO      "leave_one_out"    "constant"     Ahmadian et al. 2024, arXiv 2402.14740 (there without clip: the same,
                                                as long as every batch is learned from once)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.rl.answered import Array, answer_log_probs
from jaxeap.rl.regularisers import Penalty, add_penalty
from jaxeap.rl.rewards import Reward
from jaxeap.rl.rollouts import Rollouts, roll_out
from jaxeap.rl.training import Metrics, OptimizerSettings, TrainState, make_optimizer
from jaxeap.sampling.batching import pad_right

Advantage = Literal["standardized", "centred", "leave_one_out"]
TokenWeight = Literal["answer", "constant"]


@dataclasses.dataclass(frozen=True)
class GRPOSettings:
    """How to train; the defaults are the lab's recipe for its 0.6 M model.

    Attributes:
      steps: rounds of rollouts.
      prompts_per_step: different prompts in an update.
      group_size: answers to each of them, at least 2.
      max_new_tokens: an answer that has not ended by then is cut (and graded as wrong).
      temperature: of the rollouts; the policy that is optimized is the one at this temperature.
      batches_per_rollout: batches of `prompts_per_step` prompts that are answered in one round before any of them is
        learned from. All but the first are off-policy: the policy has moved since it drew them.
      updates_per_rollout: passes over the batches of a round. From the second one on (and from the second batch on)
        the ratios differ from 1, so that the clip can bind.
      clip: how far a token's probability ratio may move from 1 before it stops earning.
      kl_weight: beta, of the divergence from the reference.
      advantage: what an answer is measured against; see `group_advantages`.
      token_weight: "answer": each answer weighs the same, its tokens share the weight; "constant": each token weighs
        1 / max_new_tokens, so that an answer weighs by its length.
      penalty: is added to the loss, or None.
      optimizer: its settings.
    """

    steps: int = 80
    prompts_per_step: int = 32
    group_size: int = 8
    max_new_tokens: int = 4
    temperature: float = 1.0
    batches_per_rollout: int = 1
    updates_per_rollout: int = 1
    clip: float = 0.2
    kl_weight: float = 0.01
    advantage: Advantage = "standardized"
    token_weight: TokenWeight = "answer"
    penalty: Penalty | None = None
    optimizer: OptimizerSettings = dataclasses.field(
        default_factory=lambda: OptimizerSettings(learning_rate=2e-4, warmup_steps=10, b2=0.99)
    )

    def __post_init__(self) -> None:
        counts = (self.steps, self.prompts_per_step, self.batches_per_rollout, self.updates_per_rollout)
        reals = (self.temperature, self.clip)
        if min(*counts, self.max_new_tokens) < 1 or self.group_size < 2 or min(reals) <= 0 or self.kl_weight < 0:
            raise ValueError(
                "counts must be at least 1, group_size at least 2 (an answer is measured against its group), "
                f"temperature and clip above 0, kl_weight 0 or more; found {self}"
            )
        for name, choices in (("advantage", Advantage), ("token_weight", TokenWeight)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}; found {getattr(self, name)!r}")

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimizer of a whole run."""
        return make_optimizer(self.optimizer, self.steps * self.updates_per_step)

    @property
    def updates_per_step(self) -> int:
        """Updates in a round."""
        return self.batches_per_rollout * self.updates_per_rollout


def group_advantages(
    rewards: jax.Array, group_size: int, advantage: Advantage = "standardized", epsilon: float = 1e-4
) -> jax.Array:
    """What each answer is worth beside its group; of a group of equal rewards exactly 0: it teaches nothing.

        standardized   (r - mean of its group) / (standard deviation of its group + epsilon); section 4.1.2 of the
                       paper, the deviation that of the population
        centred        r - mean of its group
        leave_one_out  r - mean of the others of its group, which is G / (G - 1) times the centred one

    Args:
      rewards: [B], the answers of one group being neighbours.
      group_size: answers in a group, G.
      advantage: which of them.
      epsilon: keeps groups of nearly equal rewards finite.
    """
    groups = rewards.reshape(-1, group_size)
    centred = groups - jnp.mean(groups, axis=1, keepdims=True)
    # The mean of equal numbers may be a rounding away from them; their advantage must be 0 nevertheless.
    centred = jnp.where(jnp.all(groups == groups[:, :1], axis=1, keepdims=True), 0.0, centred)
    if advantage == "centred":
        return centred.reshape(-1)
    if advantage == "leave_one_out":
        return (centred * (group_size / (group_size - 1))).reshape(-1)
    deviation = jnp.sqrt(jnp.mean(jnp.square(centred), axis=1, keepdims=True))
    return (centred / (deviation + epsilon)).reshape(-1)


def k3_divergence(log_probs: jax.Array, reference_log_probs: jax.Array) -> jax.Array:
    """The unbiased, never negative estimate of KL(policy || reference) at each drawn token; the paper's Eq. 4.

    p_ref / p - log(p_ref / p) - 1, computed so that it is exact near 0, and 0 at equal arguments.
    """
    log_ratio = reference_log_probs - log_probs
    return jnp.expm1(log_ratio) - log_ratio


def grpo_loss(
    log_probs: jax.Array,
    old_log_probs: jax.Array,
    reference_log_probs: jax.Array,
    mask: Array,
    advantages: jax.Array,
    *,
    clip: float,
    kl_weight: float,
    token_weight: TokenWeight = "answer",
) -> tuple[jax.Array, Metrics]:
    """Minus the paper's objective (Eq. 3): the mean over answers of the mean over an answer's tokens of

        min(ratio * A, clip(ratio, 1 - clip, 1 + clip) * A) - kl_weight * k3,   ratio = p / p_old.

    Args:
      log_probs: [B, N] of the policy in training, the only ones that gradients flow through.
      old_log_probs: [B, N] of the policy that drew the answers.
      reference_log_probs: [B, N] of the policy before RL.
      mask: [B, N] bool, the answers' tokens.
      advantages: [B], A of each answer.
      clip, kl_weight: as of `GRPOSettings`.
      token_weight: "constant" takes, instead of the mean over an answer's tokens, their sum divided by N.

    Returns:
      The loss, and metrics as means over the same weighting: "kl", "clipped" (the share of tokens at which the clip
      takes the gradient away).
    """
    chex.assert_equal_shape((log_probs, old_log_probs, reference_log_probs, mask))
    chex.assert_shape(advantages, mask.shape[:1])
    # Padding must not reach an exponential: its inf times 0 would be nan.
    ratio = jnp.exp(jnp.where(mask, log_probs - old_log_probs, 0.0))
    divergence = k3_divergence(jnp.where(mask, log_probs, 0.0), jnp.where(mask, reference_log_probs, 0.0))
    earned, clipped = (r * advantages[:, None] for r in (ratio, jnp.clip(ratio, 1 - clip, 1 + clip)))

    def mean(per_token: jax.Array) -> jax.Array:
        lengths = jnp.maximum(jnp.sum(mask, axis=1), 1) if token_weight == "answer" else mask.shape[1]
        return jnp.mean(jnp.sum(jnp.where(mask, per_token, 0.0), axis=1) / lengths)

    loss = -mean(jnp.minimum(earned, clipped) - kl_weight * divergence)
    return loss, {"kl": mean(divergence), "clipped": mean((clipped < earned).astype(log_probs.dtype))}


@functools.partial(jax.jit, static_argnames=("config", "settings"))
def grpo_step(
    state: TrainState,
    rollouts: Rollouts,
    reference_log_probs: jax.Array,
    advantages: jax.Array,
    *,
    config: ModelConfig,
    settings: GRPOSettings,
) -> tuple[TrainState, Metrics]:
    """One update on one round of rollouts."""

    def loss_of(weights: Weights) -> tuple[jax.Array, Metrics]:
        log_probs = answer_log_probs(weights, config, rollouts.answered, settings.temperature)
        loss, metrics = grpo_loss(
            log_probs,
            rollouts.log_probs,
            reference_log_probs,
            rollouts.answered.mask,
            advantages,
            clip=settings.clip,
            kl_weight=settings.kl_weight,
            token_weight=settings.token_weight,
        )
        return add_penalty(settings.penalty, loss, metrics, weights, config, rollouts.answered)

    (loss, metrics), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.weights)
    metrics = {"loss": loss, **metrics, "gradient_norm": optax.tree.norm(gradients)}
    return state.update(gradients, settings.make_optimizer()), metrics


def train_grpo(
    state: TrainState,
    config: ModelConfig,
    reference: Weights,
    prompts: Sequence[Sequence[int]],
    reward: Reward,
    settings: GRPOSettings,
    *,
    stop_tokens: tuple[int, ...],
    seed: int,
) -> Iterator[tuple[TrainState, Metrics]]:
    """Trains on answers of its own.

    Goes on from the state's number of updates (which must be the end of a round); the prompts and draws of a round
    depend on the seed, its number and the weights only.

    Args:
      state: where to start: `TrainState.start(weights, settings.make_optimizer())`, or any later state of a run.
      config: the decoder's shape.
      reference: weights that the policy is held close to, as a rule those that training began with.
      prompts: token lists to draw from, each equally likely, no one twice in a round.
      reward: what the answers are worth.
      settings: how to train.
      stop_tokens: tokens that end an answer.
      seed: of the prompts and of the rollouts.

    Yields:
      State and metrics after each round: "reward", "mixed" (share of groups whose rewards differ, the only ones that
      teach), "entropy" (mean -log p of the drawn tokens), and of the last update "loss", "kl", "clipped",
      "gradient_norm" and, where there is one, "penalty".

    Raises:
      ValueError: there are fewer prompts than a round takes, or the state stands within a round.
    """
    in_round = settings.prompts_per_step * settings.batches_per_rollout
    if len(prompts) < in_round:
        raise ValueError(f"{len(prompts)} prompts are fewer than the {in_round} of a round")
    first_round, within = divmod(int(state.updates), settings.updates_per_step)
    if within:
        raise ValueError(f"the state stands {within} updates into a round; go on from the state after a round")
    padded, lengths = pad_right(prompts, max(len(prompt) for prompt in prompts), len(prompts))
    key = jax.random.key(seed)
    for round_ in range(first_round, settings.steps):
        drawn = np.random.default_rng([seed, round_]).choice(len(prompts), size=in_round, replace=False)
        rollouts = roll_out(
            state.weights,
            config,
            padded[drawn],
            lengths[drawn],
            jax.random.fold_in(key, round_),
            answers_each=settings.group_size,
            max_new_tokens=settings.max_new_tokens,
            stop_tokens=stop_tokens,
            temperature=settings.temperature,
        )
        asked = np.repeat(drawn, settings.group_size).tolist()
        rewards = jnp.array(reward(asked, rollouts.answer_lists()), jnp.float32)
        advantages = group_advantages(rewards, settings.group_size, settings.advantage)
        reference_log_probs = answer_log_probs(reference, config, rollouts.answered, settings.temperature)
        batches = jax.tree.map(
            lambda rows: rows.reshape(settings.batches_per_rollout, -1, *rows.shape[1:]),
            (rollouts, reference_log_probs, advantages),
        )
        for update in range(settings.updates_per_step):
            batch = jax.tree.map(lambda rows, i=update % settings.batches_per_rollout: rows[i], batches)
            state, metrics = grpo_step(state, *batch, config=config, settings=settings)
        groups = rewards.reshape(-1, settings.group_size)
        yield (
            state,
            {
                "reward": jnp.mean(rewards),
                "mixed": jnp.mean(jnp.any(groups != groups[:, :1], axis=1)),
                "entropy": -jnp.sum(rollouts.log_probs) / jnp.sum(rollouts.answered.mask),
                **metrics,
            },
        )
