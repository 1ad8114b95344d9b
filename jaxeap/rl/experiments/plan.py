"""What an experiment consists of: models to train, pairs of them to contrast, models to probe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from jaxeap.rl.experiments.data_choice import DataChoice
from jaxeap.rl.methods import find_method

Text = Literal["own", "reference"]


class ModelRef(NamedTuple):
    """A model of a plan: a cell's last one, or the one after some step."""

    cell: str
    step: int | None = None


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run.

    Attributes:
      name: of the cell, and of its folder: "seed1/grpo".
      method: a key of `jaxeap.rl.methods.METHODS`.
      base: cell whose model it starts from; None starts from random weights.
      seed: of everything random in it.
      settings: of the method.
      data: what it is trained and tested on.
      keep_steps: steps whose models are kept.
    """

    name: str
    method: str
    base: str | None
    seed: int
    settings: Any
    data: DataChoice
    keep_steps: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models contrasted on the same questions.

    Attributes:
      name: of the comparison, and of its folder.
      base, tuned: the models.
      questions: where they come from, as `config.questions` of run.py.
      text: "own": each model is scored on its own answers, of the questions that both answer rightly; "reference": both
        are scored on the right answer, whatever they answer themselves.
      max_new_tokens: of the models' own answers.
    """

    name: str
    base: ModelRef
    tuned: ModelRef
    questions: str
    text: Text = "own"
    max_new_tokens: int = 6


@dataclasses.dataclass(frozen=True)
class Probe:
    """A model measured by itself and beside the one that its training started from."""

    name: str
    model: ModelRef
    base: ModelRef


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that an experiment does, in order: a cell stands behind the one that it starts from.

    Raises:
      ValueError: a name comes twice, a method is unknown, or a cell, comparison or probe wants a model that is not
        there.
    """

    cells: Sequence[Cell]
    comparisons: Sequence[Comparison]
    probes: Sequence[Probe] = ()

    def __post_init__(self) -> None:
        known: dict[str, Cell] = {}
        for cell in self.cells:
            find_method(cell.method)
            if cell.name in known:
                raise ValueError(f"two cells are called {cell.name!r}")
            if cell.base is not None and cell.base not in known:
                raise ValueError(f"cell {cell.name!r} starts from {cell.base!r}, which does not stand before it")
            known[cell.name] = cell
        for part in (self.comparisons, self.probes):
            names = [item.name for item in part]
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"two of a plan's parts are called {twice.pop()!r}")
        for name, ref in (
            *((item.name, ref) for item in self.comparisons for ref in (item.base, item.tuned)),
            *((item.name, ref) for item in self.probes for ref in (item.base, item.model)),
        ):
            kept = known[ref.cell].keep_steps if ref.cell in known else ()
            if ref.cell not in known or (ref.step is not None and ref.step not in kept):
                raise ValueError(f"{name!r} wants the model {ref}, which no cell makes")


def base_cell(seed: int, settings: Any, data: DataChoice) -> Cell:
    """The cell that makes a seed's base model by the lab's recipe."""
    return Cell(f"seed{seed}/base", "sft", None, seed, settings, data)
