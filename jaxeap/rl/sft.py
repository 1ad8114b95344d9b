"""Supervised fine-tuning: maximum likelihood of demonstrated answers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.rl.answered import Answered, Array, answer_log_probs
from jaxeap.rl.regularisers import Penalty, add_penalty
from jaxeap.rl.training import Metrics, OptimizerSettings, TrainState, make_optimizer


@dataclasses.dataclass(frozen=True)
class SFTSettings:
    """How to train; the defaults are the lab's recipe for its 0.6 M model.

    Attributes:
      steps: updates in all.
      batch_size: demonstrations an update.
      penalty: is added to the loss, or None.
      optimizer: its settings.

    Raises:
      ValueError: steps or batch_size is below 1.
    """

    steps: int = 600
    batch_size: int = 128
    penalty: Penalty | None = None
    optimizer: OptimizerSettings = dataclasses.field(
        default_factory=lambda: OptimizerSettings(
            learning_rate=2e-3, warmup_steps=50, final_share=0.1, b2=0.95, weight_decay=0.01
        )
    )

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"steps and batch_size must be at least 1; found {self}")

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimizer of a whole run."""
        return make_optimizer(self.optimizer, self.steps)


def sft_loss(log_probs: jax.Array, mask: Array) -> jax.Array:
    """Mean over all the answers' tokens of -log p(token | prompt, tokens before it).

    Args:
      log_probs: [B, N].
      mask: [B, N] bool, the tokens that count.
    """
    return -jnp.sum(jnp.where(mask, log_probs, 0.0)) / jnp.sum(mask)


@functools.partial(jax.jit, static_argnames=("config", "settings"))
def sft_step(
    state: TrainState, batch: Answered, *, config: ModelConfig, settings: SFTSettings
) -> tuple[TrainState, Metrics]:
    """One update on a batch of demonstrations."""

    def loss_of(weights: Weights) -> tuple[jax.Array, Metrics]:
        loss = sft_loss(answer_log_probs(weights, config, batch), batch.mask)
        return add_penalty(settings.penalty, loss, {}, weights, config, batch)

    (loss, metrics), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.weights)
    metrics = {"loss": loss, **metrics, "gradient_norm": optax.tree.norm(gradients)}
    return state.update(gradients, settings.make_optimizer()), metrics


def train_sft(
    state: TrainState, config: ModelConfig, demonstrations: Answered, settings: SFTSettings, seed: int
) -> Iterator[tuple[TrainState, Metrics]]:
    """Trains on demonstrations, all of them once in random order, then all of them again in another.

    Goes on from the state's number of updates; which demonstrations a step sees depends on the seed and the step's
    number only.

    Args:
      state: where to start: `TrainState.start(weights, settings.make_optimizer())`, or any later state of a run.
      config: the decoder's shape.
      demonstrations: prompts and answers.
      settings: how to train.
      seed: of the order.

    Yields:
      State and metrics ("loss", "gradient_norm" and, where there is one, "penalty") after each step.

    Raises:
      ValueError: there are fewer demonstrations than a batch has.
    """
    batches_an_epoch = len(demonstrations) // settings.batch_size
    if not batches_an_epoch:
        raise ValueError(f"{len(demonstrations)} demonstrations do not fill a batch of {settings.batch_size}")
    for step in range(int(state.updates), settings.steps):
        epoch, place = divmod(step, batches_an_epoch)
        if place == 0 or step == int(state.updates):
            order = np.random.default_rng([seed, epoch]).permutation(len(demonstrations))
        rows = order[place * settings.batch_size : (place + 1) * settings.batch_size]
        state, metrics = sft_step(state, demonstrations.take(rows), config=config, settings=settings)
        yield state, metrics
