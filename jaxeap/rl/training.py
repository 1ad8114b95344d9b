"""What every trainer shares: its state, its optimizer, and the way that a run is followed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
import rich.console
import rich.progress

from jaxeap.models.parameters import Weights


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) behind a clip of the gradient's global norm.

    Attributes:
      learning_rate: after warm-up. RL is fragile in it: at five times the recipe's rate, accuracy falls.
      warmup_steps: updates over which the rate grows linearly to `learning_rate`; the first one is not zero.
      final_share: the cosine decay after warm-up ends at this share of `learning_rate`; 1 keeps it constant.
      b2: decay of the second moment.
      weight_decay: of every parameter, times the rate.
      clip_norm: the gradient's largest global norm.
    """

    learning_rate: float
    warmup_steps: int
    final_share: float = 1.0
    b2: float = 0.999
    weight_decay: float = 0.0
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.clip_norm <= 0 or self.warmup_steps < 0 or not 0 <= self.final_share <= 1:
            raise ValueError(
                "learning_rate and clip_norm must be above 0, warmup_steps 0 or more, final_share from 0 to 1; "
                f"found {self}"
            )


def learning_rates(settings: OptimizerSettings, updates: int) -> optax.Schedule:
    """The learning rate of each of `updates` updates."""
    peak, warmup = settings.learning_rate, settings.warmup_steps
    rise = optax.linear_schedule(peak / (warmup + 1), peak, warmup)
    decay = optax.cosine_decay_schedule(peak, max(1, updates - warmup), alpha=settings.final_share)
    return optax.join_schedules([rise, decay], [warmup])


def make_optimizer(settings: OptimizerSettings, updates: int) -> optax.GradientTransformation:
    """The optimizer of a run of `updates` updates."""
    return optax.chain(
        optax.clip_by_global_norm(settings.clip_norm),
        optax.adamw(learning_rates(settings, updates), b2=settings.b2, weight_decay=settings.weight_decay),
    )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a run needs to go on: with equal state, data and seed, the rest of a run is equal.

    Attributes:
      weights: tree of `parameter_specs`.
      optimizer_state: of `make_optimizer`.
      updates: int32 scalar, how many updates were made.
    """

    weights: Weights
    optimizer_state: optax.OptState
    updates: jax.Array

    @classmethod
    def start(cls, weights: Weights, optimizer: optax.GradientTransformation) -> TrainState:
        """Before the first update."""
        return cls(weights, optimizer.init(weights), jnp.zeros((), jnp.int32))

    def update(self, gradients: Weights, optimizer: optax.GradientTransformation) -> TrainState:
        """After one more update."""
        changes, optimizer_state = optimizer.update(gradients, self.optimizer_state, self.weights)
        return TrainState(optax.apply_updates(self.weights, changes), optimizer_state, self.updates + 1)


Metrics = Mapping[str, jax.Array]
"""Name -> scalar, of one step."""


AnyState = TypeVar("AnyState")


def follow(
    run: Iterable[tuple[AnyState, Metrics]],
    steps: int,
    title: str,
    say: Callable[[str], None] = print,
    done: int = 0,
) -> AnyState:
    """Runs a trainer to its end, with a progress bar on terminals and ten lines of metrics everywhere.

    Args:
      run: what a trainer yields: state and metrics after each step.
      steps: how many there will be, those that are done included.
      title: stands before each line.
      say: takes a line.
      done: steps that were made before.

    Returns:
      The last state.

    Raises:
      FloatingPointError: a metric became infinite or not a number.
      ValueError: the run had no step.
    """
    console = rich.console.Console(stderr=True)
    last = None
    with rich.progress.Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=steps, completed=done)
        for step, (last, metrics) in enumerate(run, start=done + 1):  # noqa: B007 (the state is the result)
            progress.update(task, completed=step)
            if step % max(1, steps // 10) == 0 or step == steps:
                values = {name: float(value) for name, value in metrics.items()}
                if not all(abs(value) < float("inf") for value in values.values()):
                    raise FloatingPointError(f"{title}, step {step}: training diverged ({values}); lower the rate")
                say(f"{title} {step}/{steps}  " + "  ".join(f"{name} {value:.4g}" for name, value in values.items()))
    if last is None:
        raise ValueError(f"{title}: the run had no step")
    return last
