"""Work goes on in halved portions after the error that JAX really raises, which an absurd allocation provokes."""

import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jaxeap.parallel import hosts
from jaxeap.parallel.mesh import make_mesh
from jaxeap.pipeline.execution.out_of_memory import Portion, devices_of, fewest_rows, in_portions, ran_out_of_memory
from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun


def allocate_too_much() -> None:
    jnp.zeros((2**50,), jnp.uint8).block_until_ready()  # More than any address space has.


@pytest.fixture
def run(config, console, tmp_path: Path) -> StageRun:
    return StageRun(restricted(config, ("dtype",)), tmp_path, {}, console)


def test_the_error_is_told_from_others():
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        allocate_too_much()
    assert ran_out_of_memory(caught.value)
    assert not ran_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: something else"))
    assert not ran_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))


def test_portions_are_halved_until_they_fit_and_stay_so_for_that_kind_of_work(run):
    tried = []

    def work(portion: Portion) -> int:
        tried.append(portion.rows)
        if portion.rows > 3:
            allocate_too_much()
        return portion.rows

    assert in_portions(run, "scoring", Portion(13), work, remedy="") == 3
    assert tried == [13, 6, 3]
    assert in_portions(run, "scoring", Portion(13), work, remedy="") == 3
    assert in_portions(run, "scoring", Portion(2), work, remedy="") == 2
    assert tried == [13, 6, 3, 3, 2]
    assert in_portions(run, "answering", Portion(13), work, remedy="") == 3
    said = run.console.file.getvalue().splitlines()
    assert said[0] == "scoring: a device ran out of memory; going on with 6 rows at once instead of 13"
    assert len(said) == 4


def test_a_single_row_that_does_not_fit_gets_smaller_chunks_and_in_the_end_an_error_with_a_remedy(run):
    tried = []

    def work(portion: Portion) -> None:
        tried.append((portion.rows, portion.chunk_bytes))
        if portion.chunk_bytes > 400:
            allocate_too_much()

    in_portions(run, "scoring", Portion(2, 1000), work, least=Portion(1, 300), remedy="")
    assert tried == [(2, 1000), (1, 1000), (1, 500), (1, 300)]
    with pytest.raises(
        ValueError, match=r"patching: the device has no memory for a single row at once; buy more \(RES"
    ):
        in_portions(run, "patching", Portion(1, 1000), work, remedy="buy more")


def test_rows_stay_a_multiple_of_the_groups_that_share_them_out():
    least = Portion(4)
    assert Portion(24).halved(least) == Portion(12)
    assert Portion(12).halved(least) == Portion(4)
    assert Portion(4).halved(least) is None
    one: Any = types.SimpleNamespace(mesh=None)
    four: Any = types.SimpleNamespace(mesh=make_mesh(data=2, fsdp=2, tensor=1))
    assert (fewest_rows(one), devices_of(one)) == (1, 1)
    assert (fewest_rows(four), devices_of(four)) == (2, 4)


def test_other_errors_pass_and_nothing_is_tried_again(run):
    tried = []

    def work(portion: Portion) -> None:
        tried.append(portion)
        raise jax.errors.JaxRuntimeError("INTERNAL: broken")

    with pytest.raises(jax.errors.JaxRuntimeError, match="broken"):
        in_portions(run, "scoring", Portion(4), work, remedy="")
    assert tried == [Portion(4)]


def test_one_of_several_hosts_does_not_halve_alone(run, monkeypatch):
    """What two processes do is in tests/parallel/test_hosts.py."""
    monkeypatch.setattr(hosts, "absent", lambda kind, timeout: [3])
    monkeypatch.setattr(hosts, "described", lambda host: f"host {host} (pod-{host})")
    tried = []

    def work(portion: Portion) -> None:
        tried.append(portion)
        allocate_too_much()

    expected = (
        r"scoring: a device of this host has no memory for 4 rows at once, and those of host 3 \(pod-3\) had; start "
        r"again on all hosts with --config.sampling.batch_size=2, it goes on from here \(RESOURCE_EXH"
    )
    with pytest.raises(hosts.HostError, match=expected):
        in_portions(run, "scoring", Portion(4), work, remedy="", setting="sampling.batch_size")
    with pytest.raises(hosts.HostError, match=r"had; buy more \(RES"):
        in_portions(run, "patching", Portion(1, 1000), work, least=Portion(1, 10), remedy="buy more")
    assert tried == [Portion(4), Portion(1, 1000)]


def test_the_arrays_of_a_failed_attempt_are_gone_before_the_next(run):
    shape = (7, 11, 13)

    def held() -> int:
        return sum(array.shape == shape for array in jax.live_arrays())

    def work(portion: Portion) -> int:
        before = held()
        large = jnp.ones(shape, jnp.float32)
        if portion.rows > 1:
            allocate_too_much()
        return before + large.ndim

    assert in_portions(run, "scoring", Portion(4), work, remedy="") == 3
