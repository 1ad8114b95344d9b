"""Circuits run in a model of the pair on its own answers, kept on disk, with bootstrap intervals over questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.attribution.circuits import Circuit, faithfulness
from jaxeap.attribution.circuits.faithfulness import Faithfulness
from jaxeap.metrics.bootstrap import percentile_interval, resample_weights
from jaxeap.parallel import hosts
from jaxeap.pipeline.execution.batches import Places, unfinished_batches
from jaxeap.pipeline.execution.out_of_memory import Portion, fewest_rows, in_portions
from jaxeap.pipeline.inputs.pair import load_next, mesh_of, sources_of
from jaxeap.pipeline.scoring.mean import read_mean
from jaxeap.pipeline.scoring.score import ablation_of
from jaxeap.pipeline.scoring.texts import SMALLER_TEXTS, Texts
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages.attribute import Cell
from jaxeap.pipeline.storage.artifacts import intact_tensors, read_tensors, write_tensors
from jaxeap.tasks.selection import Role, Selection


@dataclasses.dataclass(frozen=True)
class Measured:
    """C circuits in one model.

    Attributes:
      faithfulness: of each circuit, in their order; None where ablating every edge does not move the loss.
      intervals: bootstrap intervals over questions; None where there is none.
      whole, none: mean loss with all edges and with none, in nats.
    """

    faithfulness: tuple[float | None, ...]
    intervals: tuple[tuple[float, float] | None, ...]
    whole: float
    none: float

    def at(self, place: int) -> dict[str, Any]:
        """One circuit's numbers, for JSON."""
        ends = self.intervals[place]
        return {"faithfulness": self.faithfulness[place], "interval": None if ends is None else list(ends)}

    def first_to_stay(self, places: Sequence[int], target: float) -> int | None:
        """The first of the places, of circuits of growing size, from which on faithfulness does not fall below."""
        values = [self.faithfulness[place] for place in places]
        below = [index for index, value in enumerate(values) if value is None or value < target]
        first = below[-1] + 1 if below else 0
        return places[first] if first < len(places) else None


def measure(run: StageRun, role: Role, selection: Selection, circuits: Sequence[Circuit]) -> None:
    """Runs circuits in a model on its answers to the first questions of the selection.

    Results are kept in the stage's folder as faithfulness_{role}.safetensors, which a run that goes on reads.
    """
    settings, path = run.config.attribution, _path(run, role)

    def made() -> bool:
        return bool(intact_tensors(path, run.say, lambda tensors, _: len(tensors.get("values", ())) == len(circuits)))

    if not hosts.on_first(made):
        everything = Texts.of(selection, role, settings)
        texts = everything.some(range(min(run.config.circuits.examples, len(everything.ids))))
        model = load_next(sources_of(run.config)[role], run.config.dtype, mesh_of(run.config))
        reference = read_mean(run.inputs["attribute"] / Cell(role, role).name, settings)
        lengths = [stop for _, stop in texts.counted]

        def run_circuits(portion: Portion) -> tuple[list[Places], Faithfulness]:
            todo = unfinished_batches(lengths, [False] * len(lengths), portion.rows)
            batches = [texts.batch(places.filled) for places in todo]
            return todo, faithfulness(model, batches, circuits, ablation_of(settings), reference)

        asked, least = Portion(min(settings.batch_size, len(lengths))), Portion(fewest_rows(model))
        remedy = f"{SMALLER_TEXTS}, or leave circuits out with --config.circuits.sizes='()'"
        with run.console.status(f"{role} model: running {len(circuits)} circuits"):
            todo, found = in_portions(run, "running circuits", asked, run_circuits, least=least, remedy=remedy)
        columns = _columns(todo)
        kept = {"values": found.values[:, columns], "full": found.full[columns], "empty": found.empty[columns]}
        if hosts.is_first():
            write_tensors(path, kept, {"question_ids": texts.ids})


def measured(run: StageRun, role: Role, circuits: Sequence[Circuit]) -> Measured:
    """What `measure` found, from its file."""
    tensors, _ = read_tensors(_path(run, role))
    ablation = ablation_of(run.config.attribution)
    found = Faithfulness(tuple(circuits), tensors["values"], tensors["full"], tensors["empty"], "loss", ablation)
    bootstrap = run.config.bootstrap
    return _summary(found, bootstrap.resamples, bootstrap.seed, bootstrap.confidence)


def _path(run: StageRun, role: Role) -> Path:
    return run.folder / f"faithfulness_{role}.safetensors"


def _columns(batches: Sequence[Places]) -> list[int]:
    """Where each text, in the order of the texts, stands among the results of all batches."""
    column: dict[int, int] = {}
    start = 0
    for places in batches:
        column |= {place: start + row for row, place in enumerate(places.real)}
        start += len(places.filled)
    return [column[place] for place in sorted(column)]


def _summary(found: Faithfulness, resamples: int, seed: int, confidence: float) -> Measured:
    full, empty, values = (array.astype(np.float64) for array in (found.full, found.empty, found.values))
    count = len(found.circuits)
    try:
        overall: tuple[float | None, ...] = tuple(float(value) for value in found.overall)
    except ValueError:  # Ablating everything moves nothing: there is nothing for a circuit to bring back.
        return Measured((None,) * count, (None,) * count, float(full.mean()), float(empty.mean()))
    drawn = []
    for weights in resample_weights(len(full), resamples, seed):
        span = weights @ (full - empty)
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn.append(np.where(span != 0, (values - empty) @ weights.T / span, np.nan) + 0.0)  # no minus zero
    resampled = np.concatenate(drawn, axis=1)
    intervals = tuple(percentile_interval(row, confidence) if len(full) > 1 else None for row in resampled)
    return Measured(overall, intervals, float(full.mean()), float(empty.mean()))
