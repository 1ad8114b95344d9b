"""Rejection-sampling fine-tuning, or expert iteration: answer, keep what is right, learn it by heart, and again.

After Zelikman et al. 2022 ("STaR", arXiv 2203.14465) and Singh et al. 2024 (arXiv 2312.06585), but that each round goes
on from the model of the round before it. It learns from its own answers, as RL does, and by the loss of supervised
fine-tuning: a control that tells the two apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
import optax

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.rl.answered import Answered
from jaxeap.rl.graded import GradedAnswers, draw_graded
from jaxeap.rl.regularisers import Penalty
from jaxeap.rl.rewards import Reward
from jaxeap.rl.row_order import cycled_rows
from jaxeap.rl.sft import SFTSettings, sft_step
from jaxeap.rl.training import Metrics, OptimizerSettings, TrainState, make_optimizer
from jaxeap.sampling.batching import pad_right


@dataclasses.dataclass(frozen=True)
class RejectionSettings:
    """How to train; the defaults are the lab's recipe for its 0.6 M model.

    Attributes:
      steps: rounds.
      updates_per_step: updates in a round.
      prompts_per_step: different prompts in a round.
      answers_each: answers to each of them.
      kept_each: at most so many right answers a prompt, different ones only: easy prompts should not crowd out hard
        ones.
      threshold: an answer is right when its reward is at least this.
      max_new_tokens: an answer that has not ended by then is cut (and graded as wrong).
      temperature: of the drawn answers. The loss takes the policy at temperature 1.
      batch_size: answers an update.
      penalty: is added to the loss, or None.
      optimizer: its settings.
    """

    steps: int = 10
    updates_per_step: int = 10
    prompts_per_step: int = 512
    answers_each: int = 4
    kept_each: int = 1
    threshold: float = 1.0
    max_new_tokens: int = 4
    temperature: float = 1.0
    batch_size: int = 128
    penalty: Penalty | None = None
    optimizer: OptimizerSettings = dataclasses.field(
        default_factory=lambda: OptimizerSettings(learning_rate=2e-4, warmup_steps=10, b2=0.99)
    )

    def __post_init__(self) -> None:
        counts = (self.steps, self.updates_per_step, self.prompts_per_step, self.answers_each, self.kept_each)
        if min(*counts, self.max_new_tokens, self.batch_size) < 1 or self.temperature <= 0:
            raise ValueError(f"counts must be at least 1, temperature above 0; found {self}")

    @property
    def sft(self) -> SFTSettings:
        """What the single updates are."""
        return SFTSettings(self.steps * self.updates_per_step, self.batch_size, self.penalty, self.optimizer)

    def make_optimizer(self) -> optax.GradientTransformation:
        """The optimizer of a whole run."""
        return make_optimizer(self.optimizer, self.steps * self.updates_per_step)


def keep_right(
    graded: GradedAnswers, *, threshold: float, kept_each: int, prompt_length: int, answer_length: int
) -> Answered:
    """The first `kept_each` different right answers to each prompt, in arrays.

    Args:
      graded: answers with their rewards.
      threshold: an answer is right when its reward is at least this.
      kept_each: at most so many a prompt.
      prompt_length: P of the arrays.
      answer_length: N of the arrays.

    Raises:
      ValueError: no answer is right.
    """
    prompts: list[Sequence[int]] = []
    kept: list[Sequence[int]] = []
    for prompt, answers, rewards in zip(graded.prompts, graded.answers, graded.rewards, strict=True):
        right = dict.fromkeys(
            tuple(answer) for answer, worth in zip(answers, rewards, strict=True) if worth >= threshold
        )
        for answer in list(right)[:kept_each]:
            prompts.append(prompt)
            kept.append(answer)
    if not kept:
        raise ValueError(
            f"none of the answers to {len(graded.prompts)} prompts has a reward of {threshold} or more, so there is "
            "nothing to learn; draw more answers, or start from a better model"
        )
    tokens, lengths = pad_right(prompts, prompt_length, len(prompts))
    padded, counts = pad_right(kept, answer_length, len(kept))
    return Answered(tokens, lengths, padded, np.arange(answer_length)[None] < counts[:, None])


def train_rejection(
    state: TrainState,
    config: ModelConfig,
    reference: Weights,
    prompts: Sequence[Sequence[int]],
    reward: Reward,
    settings: RejectionSettings,
    *,
    stop_tokens: tuple[int, ...],
    seed: int,
) -> Iterator[tuple[TrainState, Metrics]]:
    """Trains on the right ones of its own answers.

    Goes on from the state's number of updates (which must be the end of a round); the prompts and draws of a round
    depend on the seed, its number and the weights only.

    Args:
      state: where to start: `TrainState.start(weights, settings.make_optimizer())`, or any later state of a run.
      config: the decoder's shape.
      reference: is not needed, for nothing holds this method to a model; it is there because all methods take one.
      prompts: token lists to draw from, each equally likely, no one twice in a round.
      reward: what the answers are worth.
      settings: how to train.
      stop_tokens: tokens that end an answer.
      seed: of the prompts, of the answers and of the order.

    Yields:
      State and metrics after each round: "reward" (mean of the drawn answers), "kept" (how many are learned from), and
      of the last update "loss", "gradient_norm" and, where there is one, "penalty".

    Raises:
      ValueError: there are fewer prompts than a round takes, none of a round's answers is right, or the state stands
        within a round.
    """
    del reference
    first_round, within = divmod(int(state.updates), settings.updates_per_step)
    if within:
        raise ValueError(f"the state stands {within} updates into a round; go on from the state after a round")
    prompt_length = max((len(prompt) for prompt in prompts), default=0)
    for round_ in range(first_round, settings.steps):
        graded = draw_graded(
            state.weights,
            config,
            prompts,
            reward,
            num_prompts=settings.prompts_per_step,
            answers_each=settings.answers_each,
            max_new_tokens=settings.max_new_tokens,
            stop_tokens=stop_tokens,
            temperature=settings.temperature,
            seed=(seed, round_),
        )
        kept = keep_right(
            graded,
            threshold=settings.threshold,
            kept_each=settings.kept_each,
            prompt_length=prompt_length,
            answer_length=settings.max_new_tokens,
        )
        for update in range(settings.updates_per_step):
            rows = cycled_rows(len(kept), settings.batch_size, update, (seed, round_, 1))
            state, metrics = sft_step(state, kept.take(rows), config=config, settings=settings.sft)
        yield state, {"reward": jnp.float32(graded.rewards.mean()), "kept": jnp.float32(len(kept)), **metrics}
