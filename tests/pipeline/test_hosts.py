"""The pipeline on two hosts: processes of four devices each over the loopback, in one work directory."""

import contextlib
import io
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import rich.console

from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.stages.attribute import OWN_TEXT, scores_of
from jaxeap.pipeline.stages.respond import responses_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json
from tests.parallel.processes import Ended, Running, ended, flags, free_port, started
from tests.pipeline.conftest import run_uncollected, small_config_with_controls
from tests.pipeline.host_run import ROWS

pytestmark = pytest.mark.slow  # Every process compiles for eight devices.

WORKER = str(Path(__file__).with_name("host_run.py"))
NAME = os.uname().nodename
ROLES = ("base", "tuned")
EXPERIMENT = """
from pathlib import Path

from tests.pipeline.conftest import small_config_with_controls


def get_config():
    config = small_config_with_controls(Path("PAIR"))
    config.mesh.data, config.mesh.fsdp, config.mesh.tensor = 2, 2, 2
    config.report.figures = config.report.page = False
    return config
"""


@pytest.fixture(scope="module")
def experiment(pair_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "experiment.py"
    path.write_text(EXPERIMENT.replace("PAIR", str(pair_folder)))
    return path


@contextlib.contextmanager
def two_hosts(
    experiment: Path, workdir: Path, overrides: Sequence[Sequence[str]] = ((), ()), folders: Sequence[Path] = ()
) -> Iterator[list[Running]]:
    """run.py on both, of which the second may not write into the work directory."""
    port = free_port()

    def command(process: int) -> list[str]:
        run = [f"--config={experiment}", f"--workdir={workdir}", *overrides[process], *flags(process, port)]
        return [WORKER, str(workdir) if process else "", *run]

    with started(command, folders=folders) as running:
        yield running


def finished(experiment: Path, workdir: Path) -> list[Ended]:
    with two_hosts(experiment, workdir) as running:
        both = ended(running)
    for process in both:
        assert process.status == 0, process.errors
    return both


@pytest.fixture(scope="module")
def uninterrupted(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("hosts") / "uninterrupted"
    first, second = finished(experiment, workdir)
    assert "Activation intensity" in first.output
    assert second.output.strip() == ""
    return workdir


def test_two_hosts_find_what_one_process_finds(uninterrupted, pair_folder, tmp_path, monkeypatch):
    run_uncollected(monkeypatch)
    config = small_config_with_controls(pair_folder)
    config.report.figures = config.report.page = False
    run_pipeline(config, tmp_path, rich.console.Console(file=io.StringIO()))
    for role in ROLES:
        assert responses_of(uninterrupted / "respond", role) == responses_of(tmp_path / "respond", role)
    ours, theirs = (selection_of(folder / "select") for folder in (uninterrupted, tmp_path))
    assert ours == theirs
    for cell in OWN_TEXT:
        many, one = (scores_of(folder / "attribute", cell, ours.question_ids) for folder in (uninterrupted, tmp_path))
        np.testing.assert_allclose(many.scores, one.scores, rtol=0, atol=3e-6 * np.abs(one.scores).max())
        np.testing.assert_allclose(many.loss, one.loss, rtol=1e-6)
    many, one = (read_json(folder / "metrics.json")["contrast"]["metrics"] for folder in (uninterrupted, tmp_path))
    assert set(many) == set(one)
    for name, row in one.items():
        np.testing.assert_allclose(many[name]["base"], row["base"], rtol=1e-3)
        np.testing.assert_allclose(many[name]["tuned"], row["tuned"], rtol=1e-3)
    assert files_in(uninterrupted) == files_in(tmp_path)


def test_the_same_command_again_makes_nothing_again(uninterrupted, experiment):
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*.safetensors")}
    first, _ = finished(experiment, uninterrupted)
    assert "respond: reused" in first.output and "report: reused" in first.output
    assert {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*.safetensors")} == before


@pytest.mark.parametrize("victim", [0, 1])
def test_a_run_of_which_one_host_was_killed_goes_on_to_the_same_result(victim, uninterrupted, experiment, tmp_path):
    workdir = tmp_path / "w"
    with two_hosts(experiment, workdir) as running:
        until = time.monotonic() + 600
        while not list((workdir / "attribute").glob("*/*.safetensors")):
            assert time.monotonic() < until and all(each.process.poll() is None for each in running)
            time.sleep(0.05)
        running[victim].process.kill()
        killed_at = time.monotonic()
        both = ended(running)
        assert time.monotonic() - killed_at < 90
    other = both[1 - victim]
    assert other.status != 0
    assert other.message.startswith("error: host ") and "start the same command again on all hosts" in other.message
    assert f"host {victim} ({NAME})" in other.message
    finished(experiment, workdir)
    ids = selection_of(workdir / "select").question_ids
    for cell in OWN_TEXT:
        again, whole = (scores_of(folder / "attribute", cell, ids) for folder in (workdir, uninterrupted))
        np.testing.assert_array_equal(again.scores, whole.scores)
    assert read_json(workdir / "metrics.json") == read_json(uninterrupted / "metrics.json")


def test_hosts_that_run_out_of_memory_go_on_with_smaller_batches(uninterrupted, experiment, tmp_path, monkeypatch):
    monkeypatch.setenv(ROWS, "2")
    first, _ = finished(experiment, tmp_path / "w")
    assert "scoring edges: a device ran out of memory; going on with" in first.output
    ids = selection_of(tmp_path / "w" / "select").question_ids
    for cell in OWN_TEXT:
        many, one = (scores_of(folder / "attribute", cell, ids) for folder in (tmp_path / "w", uninterrupted))
        np.testing.assert_allclose(many.scores, one.scores, rtol=0, atol=3e-6 * np.abs(one.scores).max())


def test_hosts_with_different_settings_are_refused(experiment, tmp_path):
    with two_hosts(experiment, tmp_path / "w", ((), ("--config.attribution.level=head",))) as running:
        both = ended(running)
    expected = (
        f'error: host 1 ({NAME}) has another setting than host 0 ({NAME}): attribution.level is "head", not "block"'
    )
    assert [(process.status, process.message) for process in both] == [(1, expected)] * 2


def test_hosts_that_see_different_checkpoints_are_refused(experiment, pair_folder, tmp_path):
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder, role in zip(folders, ROLES, strict=True):
        shutil.copytree(pair_folder / role, folder / "model")
    override = ("--config.base=model",)
    with two_hosts(experiment, tmp_path / "w", (override, override), folders) as running:
        both = ended(running)
    for process in both:
        assert process.status == 1
        assert process.message.startswith(
            f"error: host 1 ({NAME}) has another content of a file than host 0 ({NAME}): base is "
        )


def test_a_mesh_that_leaves_out_a_host_is_refused(experiment, tmp_path):
    override = ("--config.mesh.data=1",)
    with two_hosts(experiment, tmp_path / "w", (override, override)) as running:
        both = ended(running)
    assert {process.status for process in both} == {1}
    assert any("the mesh has 4 of 8 devices, and none of host 1; set" in process.message for process in both)


def files_in(workdir: Path) -> set[str]:
    return {str(path.relative_to(workdir)) for path in workdir.rglob("*") if path.is_file()}
