"""Many hosts: decisions, arrays and failures between two processes; one process, to which all of it is nothing."""

import importlib.util
import json
import os
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxeap
from jaxeap.models.save import save_model
from jaxeap.parallel import hosts, launch
from jaxeap.sampling.generate import generate
from jaxeap.tasks.tokenizer import arithmetic_tokenizer
from tests.parallel.host_process import ARRAY, COUNTED, SEQUENCES
from tests.parallel.processes import Ended, ended, free_port, started
from tests.tiny_decoder import tiny_decoder

WORKER = str(Path(__file__).with_name("host_process.py"))
NAME = os.uname().nodename
CLUSTERS = ("SLURM_", "OMPI_", "TPU_")


def run(task: str, folder: Path) -> list[Ended]:
    port = free_port()
    with started(lambda process: [WORKER, task, str(process), str(port), str(folder)]) as running:
        return ended(running)


def test_with_one_process_everything_is_as_it_is(tmp_path):
    assert not hosts.several() and hosts.is_first()
    made = object()
    assert hosts.on_first(lambda: made) is made and hosts.agree(made) is made
    assert hosts.array_from_first(lambda: ARRAY) is ARRAY
    hosts.barrier("nobody")
    hosts.require_same("thing", {"a": made})
    hosts.require_seen(lambda: [tmp_path / "missing"])
    with launch.joined(None):
        assert not jax.distributed.is_initialized()
    whole = hosts.to_hosts((jax.numpy.asarray(ARRAY), 3))
    assert (whole[0] == ARRAY).all() and whole[1] == 3
    with pytest.raises(KeyError):
        hosts.on_first(lambda: {}["missing"])


def test_flags_that_do_not_fit_together():
    with pytest.raises(ValueError, match="give all of --coordinator_address, --num_processes and --process_id, or non"):
        launch.Launch(num_processes=2)
    with pytest.raises(ValueError, match="--process_id=2 must be from 0 to 1"):
        launch.Launch("a:1", 2, 2)
    with pytest.raises(ValueError, match="must be at least 1"):
        launch.Launch(silence=0)


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, None),
        ({"SLURM_JOB_ID": "7"}, None),  # A shell inside an allocation, not a task of srun.
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "a", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, None),
        (
            {
                "SLURM_JOB_ID": "7",
                "SLURM_STEP_NODELIST": "a[1-2]",
                "SLURM_PROCID": "0",
                "SLURM_LOCALID": "0",
                "SLURM_NTASKS": "2",
            },
            "Slurm",
        ),
        ({"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "4"}, "Open MPI"),
        ({"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "1"}, None),
    ],
)
def test_clusters_are_recognised_and_a_laptop_is_none(monkeypatch, variables, found):
    for name in list(os.environ):
        if name.startswith(CLUSTERS):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launch.cluster() == found


def test_a_machine_with_tpu_chips_is_one_of_a_pod(monkeypatch):
    monkeypatch.setattr(launch, "_sees_tpu_chips", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "libtpu")
    monkeypatch.delenv("JAX_PLATFORMS")
    assert launch.cluster() == "TPU pod"
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert launch.cluster() is None


@pytest.mark.parametrize("over", ["data", pytest.param("weights", marks=pytest.mark.slow)])
def test_two_processes_decide_alike_and_compute_what_one_does(over, tmp_path):
    decoder = tiny_decoder()
    save_model(decoder, tmp_path / "model", arithmetic_tokenizer())
    for process in run(over, tmp_path):
        assert process.status == 0, process.errors
    found = json.loads((tmp_path / "found.json").read_text())
    result = jaxeap.attribute(decoder, jaxeap.Batch.from_sequences(SEQUENCES, COUNTED))
    scores, loss = np.asarray(result.scores), np.asarray(result.loss)
    answers = generate(decoder, [s[:3] for s in SEQUENCES], max_new_tokens=4, stop_tokens=[2], batch_size=3)
    np.testing.assert_allclose(found["scores"], scores, rtol=0, atol=3e-6 * np.abs(scores).max())
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-6)
    assert found["answers"] == answers
    for process in (0, 1):  # Both run out of memory, and go on with half.
        found = json.loads((tmp_path / f"portions{process}.json").read_text())
        assert found["done"] == [2, 2]
        assert found["said"] == "scoring: a device ran out of memory; going on with 2 rows at once instead of 4\n"
        np.testing.assert_allclose(found["scores"], scores, rtol=0, atol=3e-6 * np.abs(scores).max())


@pytest.mark.slow
def test_a_host_that_runs_out_of_memory_alone_ends_all_and_says_with_what_to_go_on(tmp_path):
    """The other one waits for it inside a program, which no message reaches."""
    save_model(tiny_decoder(), tmp_path / "model", arithmetic_tokenizer())
    expected = (
        f"scoring: a device of this host has no memory for 4 rows at once, and those of host 0 ({NAME}) had; start "
        "again on all hosts with --config.attribution.batch_size=2, it goes on from here (RESOURCE_EXHAUSTED"
    )
    first, second = run("memory of one", tmp_path)
    assert (first.status, second.status) == (1, 1)
    assert first.message.startswith(f"error: host 1 ({NAME}): {expected}")
    assert second.message.startswith(f"error: {expected}")


def test_a_host_that_is_killed_ends_the_other_which_says_so(tmp_path):
    folder = tmp_path / "1"
    folder.mkdir()
    begun = time.monotonic()
    first, second = run("killed", folder)
    assert time.monotonic() - begun < 60
    assert second.status == -9
    assert first.status == 1
    assert first.message == (
        f"error: host 1 ({NAME}) did not answer within 3 s; start the same command again on all hosts, it goes on from "
        "here"
    )


@pytest.mark.slow
def test_the_first_host_killed_ends_the_other_which_says_so(tmp_path):
    """JAX's runtime aborts the second process then, and the last line is still the project's."""
    folder = tmp_path / "0"
    folder.mkdir()
    first, second = run("killed", folder)
    assert first.status == -9
    assert second.status != 0
    assert second.message == (
        f"error: host 1 ({NAME}): this process was killed, or host 0 ({NAME}), which leads the others, no longer "
        "answers; start the same command again on all hosts, it goes on from here"
    ) or second.message.startswith(f"error: host 0 ({NAME}) does not answer")


@pytest.mark.slow
def test_a_host_that_fails_ends_the_other_with_what_it_found(tmp_path):
    first, second = run("fails", tmp_path)
    assert (first.status, second.status) == (1, 1)
    assert second.message == "error: what the second alone finds wrong"
    assert first.message == f"error: host 1 ({NAME}): what the second alone finds wrong"


@pytest.mark.slow
def test_a_host_that_does_not_come_to_a_barrier_is_named(tmp_path):
    first, second = run("late", tmp_path)
    assert (first.status, second.status) == (1, 1)
    assert first.message == f"error: host 1 ({NAME}) did not come to the meeting within 2 s"
    assert second.message == f"error: host 0 ({NAME}): host 1 ({NAME}) did not come to the meeting within 2 s"
