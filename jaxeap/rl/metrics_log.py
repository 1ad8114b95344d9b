"""Metrics of a run, one JSON object a step, and the same for TensorBoard where its writer is installed."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from jaxeap.tasks.jsonl import replacing

Log = Callable[[int, Mapping[str, float]], None]
"""Takes the number of a step, from 1, and its metrics."""

METRICS_FILE = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


@contextlib.contextmanager
def metrics_log(folder: Path, done: int) -> Iterator[Log]:
    """Opens `folder`/metrics.jsonl to go on behind step `done`; what an interrupted run wrote beyond it is dropped.

    Where tensorboardX is installed, the same goes to `folder`/tensorboard.

    Yields:
      What takes the metrics of a step; they are on disk when it returns. It raises FloatingPointError for a metric that
      is infinite or not a number.
    """
    path = folder / METRICS_FILE
    kept = [line for line in _whole_lines(path) if json.loads(line)["step"] <= done]
    with replacing(path) as file:
        file.writelines(kept)
    with path.open("a", encoding="utf-8", newline="\n") as file, _tensorboard(folder, done) as board:

        def log(step: int, metrics: Mapping[str, float]) -> None:
            if bad := [f"{name} {value}" for name, value in metrics.items() if not math.isfinite(value)]:
                raise FloatingPointError(f"step {step}: training diverged ({', '.join(bad)}); lower the learning rate")
            file.write(json.dumps({"step": step, **metrics}) + "\n")
            file.flush()
            board(step, metrics)

        yield log


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """One dictionary a step of a run whose metrics stand in `folder`, in order."""
    return [json.loads(line) for line in _whole_lines(folder / METRICS_FILE)]


def _whole_lines(path: Path) -> list[str]:
    """The lines of a file that end, none where there is no file: a killed run may leave half a line behind."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="\n") as file:
        return [line for line in file if line.endswith("\n")]


@contextlib.contextmanager
def _tensorboard(folder: Path, done: int) -> Iterator[Log]:
    try:
        tensorboard = importlib.import_module("tensorboardX")
    except ImportError:
        yield lambda step, metrics: None
        return
    # TensorBoard hides what an earlier, killed writer said about the steps from purge_step on.
    with tensorboard.SummaryWriter(os.fspath(folder / TENSORBOARD_FOLDER), purge_step=done + 1) as writer:

        def log(step: int, metrics: Mapping[str, float]) -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

        yield log
