"""Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290), from pairs that the model itself made.

Offline, all pairs are drawn once, from the reference. Online, each round draws its pairs from the policy as it is then
(Guo et al. 2024, arXiv 2402.04792, with a verifiable reward as the judge).
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
from jaxeap.rl.answered import Answered, answer_log_probs
from jaxeap.rl.graded import draw_graded
from jaxeap.rl.preferences import Preferences, pair_answers
from jaxeap.rl.rewards import Reward
from jaxeap.rl.row_order import cycled_rows
from jaxeap.rl.training import Metrics, OptimizerSettings, TrainState, make_optimizer


@dataclasses.dataclass(frozen=True)
class DPOSettings:
    """How to train; the defaults are the lab's recipe for its 0.6 M model.

    Attributes:
      steps: offline, updates; online, rounds.
      updates_per_step: updates in a round; 1 offline.
      online: whether each round draws its pairs anew, from the policy in training.
      prompts_per_draw: different prompts that pairs are drawn for, once in all or in each round.
      answers_each: answers to each of them.
      pairs_each: at most so many pairs a prompt.
      max_new_tokens: an answer that has not ended by then is cut (and graded as wrong).
      temperature: of the drawn answers. The loss takes the policy at temperature 1.
      batch_size: pairs an update.
      beta: how strongly the policy is held to the reference.
      nll_weight: of -log p of the chosen answer, by which Pang et al. 2024 (arXiv 2404.19733) keep DPO from lowering
        the chosen answers' probability together with the rejected ones'. With beta 0.1 and without this term,
        accuracy collapsed in the lab.
      optimizer: its settings.
    """

    steps: int = 100
    updates_per_step: int = 1
    online: bool = False
    prompts_per_draw: int = 2048
    answers_each: int = 8
    pairs_each: int = 4
    max_new_tokens: int = 4
    temperature: float = 1.0
    batch_size: int = 64
    beta: float = 1.0
    nll_weight: float = 0.3
    optimizer: OptimizerSettings = dataclasses.field(
        default_factory=lambda: OptimizerSettings(learning_rate=1e-4, warmup_steps=10, final_share=0.1)
    )

    def __post_init__(self) -> None:
        counts = (self.steps, self.updates_per_step, self.prompts_per_draw, self.pairs_each, self.max_new_tokens)
        if min(*counts, self.batch_size) < 1 or self.answers_each < 2:
            raise ValueError(f"counts must be at least 1 and answers_each at least 2, to have a pair; found {self}")
        if self.temperature <= 0 or self.beta <= 0 or self.nll_weight < 0:
            raise ValueError(f"temperature and beta must be above 0, nll_weight 0 or more; found {self}")
        if not self.online and self.updates_per_step != 1:
            raise ValueError(f"offline, a step is one update; found updates_per_step {self.updates_per_step}")

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimizer of a whole run."""
        return make_optimizer(self.optimizer, self.steps * self.updates_per_step)


def dpo_loss(
    chosen: jax.Array,
    rejected: jax.Array,
    reference_chosen: jax.Array,
    reference_rejected: jax.Array,
    chosen_lengths: jax.Array,
    *,
    beta: float,
    nll_weight: float,
) -> tuple[jax.Array, Metrics]:
    """Equation 7 of the paper with the length-normalised likelihood term of Pang et al. 2024 (equation 1): the mean of

        -log sigmoid(beta * (log p(c) / p_ref(c) - log p(r) / p_ref(r))) - nll_weight * log p(c) / |c|

    Args:
      chosen, rejected: [B] log-probabilities of whole answers under the policy in training, the only ones that
        gradients flow through.
      reference_chosen, reference_rejected: [B] of the reference.
      chosen_lengths: [B] tokens of the chosen answers.
      beta, nll_weight: as of `DPOSettings`.

    Returns:
      The loss, and metrics as means: "margin" (beta times the difference in the parentheses), "preferred" (share of
      pairs with a margin above 0), "chosen_log_ratio" and "rejected_log_ratio" (log p / p_ref).
    """
    chex.assert_equal_shape((chosen, rejected, reference_chosen, reference_rejected, chosen_lengths))
    chosen_log_ratio, rejected_log_ratio = chosen - reference_chosen, rejected - reference_rejected
    margin = beta * (chosen_log_ratio - rejected_log_ratio)
    loss = jnp.mean(-jax.nn.log_sigmoid(margin) - nll_weight * chosen / chosen_lengths)
    return loss, {
        "margin": jnp.mean(margin),
        "preferred": jnp.mean(margin > 0),
        "chosen_log_ratio": jnp.mean(chosen_log_ratio),
        "rejected_log_ratio": jnp.mean(rejected_log_ratio),
    }


@functools.partial(jax.jit, static_argnames=("config", "settings"))
def dpo_step(
    state: TrainState, reference: Weights, batch: Preferences, *, config: ModelConfig, settings: DPOSettings
) -> tuple[TrainState, Metrics]:
    """One update on a batch of pairs."""
    both = Answered.concatenate([batch.chosen, batch.rejected])

    def answers_of(weights: Weights) -> tuple[jax.Array, jax.Array]:
        chosen, rejected = jnp.split(jnp.sum(answer_log_probs(weights, config, both), axis=1), 2)
        return chosen, rejected

    reference_chosen, reference_rejected = answers_of(reference)

    def loss_of(weights: Weights) -> tuple[jax.Array, Metrics]:
        return dpo_loss(
            *answers_of(weights),
            reference_chosen,
            reference_rejected,
            jnp.sum(batch.chosen.mask, axis=1, dtype=jnp.float32),
            beta=settings.beta,
            nll_weight=settings.nll_weight,
        )

    (loss, metrics), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.weights)
    metrics = {"loss": loss, **metrics, "gradient_norm": optax.tree.norm(gradients)}
    return state.update(gradients, settings.make_optimizer()), metrics


def train_dpo(
    state: TrainState,
    config: ModelConfig,
    reference: Weights,
    prompts: Sequence[Sequence[int]],
    reward: Reward,
    settings: DPOSettings,
    *,
    stop_tokens: tuple[int, ...],
    seed: int,
) -> Iterator[tuple[TrainState, Metrics]]:
    """Trains on pairs of better and worse answers, drawn from the reference (offline) or from the policy (online).

    Goes on from the state's number of updates (online, that must be the end of a round). Offline pairs are drawn again
    where a run goes on, and are the same ones: they depend on the seed and the reference only. The order of the pairs
    is random, all of them once before any comes again.

    Args:
      state: where to start: `TrainState.start(weights, settings.make_optimizer())`, or any later state of a run.
      config: the decoder's shape.
      reference: weights that the policy is measured against, as a rule those that training began with.
      prompts: token lists to draw from, each equally likely, no one twice in a draw.
      reward: what the answers are worth.
      settings: how to train.
      stop_tokens: tokens that end an answer.
      seed: of the prompts, of the answers and of the order.

    Yields:
      State and metrics after each step: "pairs" (how many there are to learn from), online "reward" (mean of the
      drawn answers), and of the last update "loss", the metrics of `dpo_loss` and "gradient_norm".

    Raises:
      ValueError: there are fewer prompts than a draw takes, a draw gave no pair, or the state stands within a round.
    """
    first_step, within = divmod(int(state.updates), settings.updates_per_step)
    if within:
        raise ValueError(f"the state stands {within} updates into a round; go on from the state after a round")
    prompt_length = max((len(prompt) for prompt in prompts), default=0)

    def draw(weights: Weights, round_: int) -> tuple[Preferences, float]:
        graded = draw_graded(
            weights,
            config,
            prompts,
            reward,
            num_prompts=settings.prompts_per_draw,
            answers_each=settings.answers_each,
            max_new_tokens=settings.max_new_tokens,
            stop_tokens=stop_tokens,
            temperature=settings.temperature,
            seed=(seed, round_),
        )
        pairs = pair_answers(
            graded,
            pairs_each=settings.pairs_each,
            prompt_length=prompt_length,
            answer_length=settings.max_new_tokens,
            rng=np.random.default_rng([seed, round_, 1]),
        )
        return pairs, float(graded.rewards.mean())

    if not settings.online:
        pairs, _ = draw(reference, 0)
        for step in range(first_step, settings.steps):
            rows = cycled_rows(len(pairs), settings.batch_size, step, (seed, 2))
            state, metrics = dpo_step(state, reference, pairs.take(rows), config=config, settings=settings)
            yield state, {"pairs": jnp.float32(len(pairs)), **metrics}
        return
    for round_ in range(first_step, settings.steps):
        pairs, mean_reward = draw(state.weights, round_)
        for update in range(settings.updates_per_step):
            rows = cycled_rows(len(pairs), settings.batch_size, update, (seed, round_, 2))
            state, metrics = dpo_step(state, reference, pairs.take(rows), config=config, settings=settings)
        yield state, {"reward": jnp.float32(mean_reward), "pairs": jnp.float32(len(pairs)), **metrics}
