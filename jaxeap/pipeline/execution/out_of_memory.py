"""When a device runs out of memory: the work goes on in smaller portions, and no result is lost or made twice."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from typing import TypeVar

import jax

from jaxeap.attribution.contraction import CHUNK_BYTES
from jaxeap.models.model import Decoder
from jaxeap.parallel import hosts
from jaxeap.parallel.mesh import example_groups
from jaxeap.pipeline.stage import StageRun

Result = TypeVar("Result")

MARKS = ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY")
"""What XLA's errors say when an allocation failed, while a program was compiled, started or running."""
AGREEING_SECONDS = 300
"""Within which all hosts must have failed at the same place for them to go on together; more than a batch takes."""


@dataclasses.dataclass(frozen=True)
class Portion:
    """How much is done at once.

    Attributes:
      rows: examples, or answers, of a batch.
      chunk_bytes: for both sides of the contraction, as of `attribute`.
    """

    rows: int
    chunk_bytes: int = CHUNK_BYTES

    def halved(self, least: Portion) -> Portion | None:
        """Half the rows, or at the least of them half the chunk; None where that is the least as well.

        Rows stay a multiple of the least, so that devices can share them out.
        """
        if self.rows > least.rows:
            half = self.rows // 2
            return dataclasses.replace(self, rows=max(least.rows, half - half % least.rows))
        if self.chunk_bytes > least.chunk_bytes:
            return dataclasses.replace(self, chunk_bytes=max(least.chunk_bytes, self.chunk_bytes // 2))
        return None

    def smaller_than(self, other: Portion) -> str:
        """In words, what of it is smaller."""
        if self.rows < other.rows:
            return f"{self.rows} rows at once instead of {other.rows}"
        return f"{self.chunk_bytes / 2**20:.3g} MiB for a chunk instead of {other.chunk_bytes / 2**20:.3g}"


def in_portions(
    run: StageRun,
    what: str,
    asked: Portion,
    work: Callable[[Portion], Result],
    *,
    remedy: str,
    least: Portion | None = None,
    setting: str = "attribution.batch_size",
) -> Result:
    """`work` in the portion that is asked for, or in half of it, a quarter, ... where a device cannot hold that.

    A portion that was found too large is not tried again by the same stage for the same kind of work. Several hosts
    walk the same programs, which need as much on each, so they run out of memory together, and go on together. Where
    only some do, the others wait for them inside a program, and the run must end.

    Args:
      run: of the stage.
      what: kind of work, for messages.
      asked: the portion to begin with.
      work: is called again after a failure, so it must go on from what it has kept on disk.
      remedy: what the user can change where not even the least portion fits.
      least: a single row and the chunk as it is, where None is given.
      setting: that the rows come from.

    Raises:
      HostError: a device of this host ran out of memory, and those of another did not.
      ValueError: not even the least portion fits.
    """
    least = least or Portion(1, asked.chunk_bytes)
    portion: Portion = run.portions.get(what, asked)
    portion = Portion(min(portion.rows, asked.rows), min(portion.chunk_bytes, asked.chunk_bytes))
    while True:
        try:
            return work(portion)
        except jax.errors.JaxRuntimeError as error:
            if not ran_out_of_memory(error):
                raise
            said = str(error).partition("\n")[0]
        # Only here, where the error is gone, and with its traceback the arrays of the attempt.
        gc.collect()
        smaller = portion.halved(least)
        if smaller is None:
            raise ValueError(f"{what}: the device has no memory for {_least(portion)}; {remedy} ({said})")
        _require_all_out_of_memory(what, portion, smaller, setting, remedy, said)
        run.say(f"{what}: a device ran out of memory; going on with {smaller.smaller_than(portion)}")
        portion = run.portions[what] = smaller


def _require_all_out_of_memory(
    what: str, portion: Portion, smaller: Portion, setting: str, remedy: str, said: str
) -> None:
    """Refuses to go on with less where another host goes on with as much.

    Raises:
      HostError: on the hosts that have failed; it ends the others too.
    """
    if not (others := hosts.absent("out of memory", AGREEING_SECONDS)):
        return
    if smaller.rows < portion.rows:
        remedy = f"start again on all hosts with --config.{setting}={smaller.rows}, it goes on from here"
    raise hosts.HostError(
        f"{what}: a device of this host has no memory for {portion.rows} rows at once, and those of "
        f"{', '.join(map(hosts.described, others))} had; {remedy} ({said})"
    )


def devices_of(model: Decoder) -> int:
    """On how many devices the model computes."""
    return 1 if model.mesh is None else model.mesh.size


def fewest_rows(model: Decoder) -> int:
    """One for each group of devices that share out a batch; fewer would be filled up to as many."""
    return example_groups(model.mesh)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error of JAX says that a device's memory did not do."""
    return isinstance(error, jax.errors.JaxRuntimeError) and any(mark in str(error) for mark in MARKS)


def _least(portion: Portion) -> str:
    return "a single row at once" if portion.rows == 1 else f"{portion.rows} rows at once, the fewest on this mesh"
