"""Circuits run in a model of the pair on its own answers, kept on disk, with bootstrap intervals over questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits import Circuit, faithfulness
from jaxeap.attribution.circuits.faithfulness import Faithfulness
from jaxeap.metrics.bootstrap import percentile_interval, resample_weights
from jaxeap.pipeline.artifacts import read_tensors, write_tensors
from jaxeap.pipeline.pair import load_next, sources_of
from jaxeap.pipeline.stage import StageRun
from jaxeap.sampling.batching import padded_length
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


def measure(run: StageRun, role: Role, selection: Selection, circuits: Sequence[Circuit]) -> Measured:
    """Runs circuits in a model on its answers to the first questions of the selection.

    Results are kept in the stage's folder as faithfulness_{role}.safetensors, which a run that goes on reads.
    """
    path, ablation = run.folder / f"faithfulness_{role}.safetensors", run.config.attribution.ablation
    if not path.is_file():
        batches = _batches(selection, role, run.config.circuits.examples, run.config.attribution.batch_size)
        model = load_next(sources_of(run.config)[role], run.config.dtype)
        with run.console.status(f"{role} model: running {len(circuits)} circuits"):
            found = faithfulness(model, batches, circuits, ablation)
        _write(path, found)
    tensors, _ = read_tensors(path)
    found = Faithfulness(tuple(circuits), tensors["values"], tensors["full"], tensors["empty"], "loss", ablation)
    return _summary(found, **dict(run.config.bootstrap))


def _write(path: Path, found: Faithfulness) -> None:
    write_tensors(path, {"values": found.values, "full": found.full, "empty": found.empty}, {"metric": found.metric})


def _batches(selection: Selection, role: Role, examples: int, batch_size: int) -> list[Batch]:
    """Batches of one padded length, so that one program, or two with a shorter last batch, serve all."""
    sequences, counted = selection.sequences(role)[:examples], selection.counted(role)[:examples]
    length = padded_length(max(stop - 1 for _, stop in counted))
    width = padded_length(max(stop - start for start, stop in counted))
    starts = range(0, len(sequences), batch_size)
    pieces = [slice(start, start + batch_size) for start in starts]
    return [Batch.from_sequences(sequences[p], counted[p], length=length, width=width) for p in pieces]


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
