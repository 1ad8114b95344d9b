"""Metrics on disk: whole lines, nothing twice, nothing infinite."""

import sys
import types
from pathlib import Path

import pytest

from jaxeap.rl.metrics_log import METRICS_FILE, metrics_log, read_metrics


def test_an_interrupted_run_goes_on_behind_its_checkpoint(tmp_path: Path) -> None:
    with metrics_log(tmp_path, 0) as log:
        for step in range(1, 6):
            log(step, {"loss": 1 / step})
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"step": 6, "lo')
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3, 4, 5]
    with metrics_log(tmp_path, 3) as log:
        log(4, {"loss": 9.0})
    assert read_metrics(tmp_path)[2:] == [{"step": 3, "loss": 1 / 3}, {"step": 4, "loss": 9.0}]


def test_each_step_is_on_disk_at_once(tmp_path: Path) -> None:
    with metrics_log(tmp_path, 0) as log:
        log(1, {"loss": 0.5})
        assert read_metrics(tmp_path) == [{"step": 1, "loss": 0.5}]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_diverged_step_is_refused_and_not_written(tmp_path: Path, value: float) -> None:
    with metrics_log(tmp_path, 0) as log, pytest.raises(FloatingPointError, match="step 1: training diverged"):
        log(1, {"loss": value, "kl": 0.0})
    assert read_metrics(tmp_path) == []


def test_tensorboard_gets_the_same_where_its_writer_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int):
            told.append((folder, purge_step))

        def __enter__(self) -> "SummaryWriter":
            return self

        def __exit__(self, *_: object) -> None:
            told.append(("closed",))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    with metrics_log(tmp_path, 2) as log:
        log(3, {"loss": 0.5, "kl": 0.1})
    assert told == [(str(tmp_path / "tensorboard"), 3), ("loss", 0.5, 3), ("kl", 0.1, 3), ("closed",)]


def test_without_tensorboard_there_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with metrics_log(tmp_path, 0) as log:
        log(1, {"loss": 0.5})
    assert [path.name for path in tmp_path.iterdir()] == [METRICS_FILE]
