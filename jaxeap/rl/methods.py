"""The ways to train a model further, by name: what an experiment chooses from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import jax

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.rl.answered import Answered
from jaxeap.rl.dpo import DPOSettings, train_dpo
from jaxeap.rl.grpo import GRPOSettings, train_grpo
from jaxeap.rl.ppo import PPOSettings, PPOState, train_ppo
from jaxeap.rl.rejection_sampling import RejectionSettings, train_rejection
from jaxeap.rl.rewards import Reward
from jaxeap.rl.sft import SFTSettings, train_sft
from jaxeap.rl.training import Metrics, OptimizerSettings, TrainState


class State(Protocol):
    """What a trainer goes on from: a tree of arrays."""

    @property
    def weights(self) -> Weights:
        """The model in training."""

    @property
    def updates(self) -> jax.Array:
        """How many updates were made."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """A task as a model sees it.

    Attributes:
      config: the decoder's shape.
      base: weights that training starts from, and is held close to.
      demonstrations: for supervised training.
      prompts: for RL, as token lists.
      reward: what answers to them are worth.
      stop_tokens: end an answer.
    """

    config: ModelConfig
    base: Weights
    demonstrations: Answered
    prompts: Sequence[Sequence[int]]
    reward: Reward
    stop_tokens: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to train.

    Attributes:
      summary: ends "the base model after ..." in model cards.
      settings: the lab's hyper-parameters, a frozen dataclass with `steps`; another of its type may take its place.
      start: (base weights, settings) -> the state before the first step.
      train: (state, problem, settings, seed) -> state and metrics after each of the steps that are left.
    """

    summary: str
    settings: Any
    start: Callable[[Weights, Any], State]
    train: Callable[[Any, Problem, Any, int], Iterator[tuple[State, Metrics]]]


def _start(weights: Weights, settings: Any) -> TrainState:
    return TrainState.start(weights, settings.make_optimizer())


def _supervised(
    state: TrainState, problem: Problem, settings: SFTSettings, seed: int
) -> Iterator[tuple[State, Metrics]]:
    return train_sft(state, problem.config, problem.demonstrations, settings, seed)


Trainer = Callable[..., Iterator[tuple[Any, Metrics]]]


def _on_answers(train: Trainer) -> Trainer:
    def run(state: State, problem: Problem, settings: Any, seed: int) -> Iterator[tuple[State, Metrics]]:
        return train(
            state,
            problem.config,
            problem.base,
            problem.prompts,
            problem.reward,
            settings,
            stop_tokens=problem.stop_tokens,
            seed=seed,
        )

    return run


SFT_MORE = SFTSettings(
    steps=100,
    optimizer=OptimizerSettings(learning_rate=2e-4, warmup_steps=10, final_share=0.1, b2=0.95, weight_decay=0.01),
)
"""More of what made the base, from the rate on at which that ended."""

ONLINE_DPO = DPOSettings(steps=20, updates_per_step=5, online=True, prompts_per_draw=128)

METHODS = {
    "sft": Method("supervised fine-tuning on demonstrations", SFTSettings(), _start, _supervised),
    "sft_more": Method("more supervised fine-tuning on the demonstrations that made it", SFT_MORE, _start, _supervised),
    "rejection": Method(
        "supervised fine-tuning on its own right answers, drawn anew each round (rejection sampling)",
        RejectionSettings(),
        _start,
        _on_answers(train_rejection),
    ),
    "grpo": Method("GRPO", GRPOSettings(), _start, _on_answers(train_grpo)),
    "dr_grpo": Method(
        "Dr. GRPO (GRPO without division by standard deviation and answer length)",
        GRPOSettings(advantage="centred", token_weight="constant"),
        _start,
        _on_answers(train_grpo),
    ),
    "rloo": Method(
        "RLOO (REINFORCE with the leave-one-out baseline)",
        GRPOSettings(advantage="leave_one_out", token_weight="constant"),
        _start,
        _on_answers(train_grpo),
    ),
    "ppo": Method("PPO", PPOSettings(), PPOState.start, _on_answers(train_ppo)),
    "dpo": Method(
        "DPO on pairs of a right and a wrong answer of its own", DPOSettings(), _start, _on_answers(train_dpo)
    ),
    "online_dpo": Method(
        "DPO on pairs of a right and a wrong answer of the model in training, drawn anew each round",
        ONLINE_DPO,
        _start,
        _on_answers(train_dpo),
    ),
}
"""Name -> how the model is trained."""


def find_method(name: str) -> Method:
    """The method of a name.

    Raises:
      ValueError: there is none.
    """
    if name not in METHODS:
        raise ValueError(f"there is no method {name!r}; there are: {', '.join(METHODS)}")
    return METHODS[name]
