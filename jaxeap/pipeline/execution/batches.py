"""Batches of one size, so that a stage compiles few programs and can be interrupted between any two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from jaxeap.sampling.batching import batches_by_length

Batch = TypeVar("Batch")
Started = TypeVar("Started")


class Places(NamedTuple):
    """Places of a batch's items in a list.

    Attributes:
      real: what the batch is for.
      filled: the same, the last one repeated up to the common size. What comes out for the repetitions is dropped;
        without them a short last batch would compile a program of its own.
    """

    real: list[int]
    filled: list[int]


def unfinished_batches(lengths: Sequence[int], finished: Sequence[bool], batch_size: int) -> list[Places]:
    """What is left to do, in batches of items of like length, the longest first.

    When whole batches are finished, the others are those that there would have been from the start: a run that goes
    on where it was interrupted computes the same numbers, to the last bit, as one that was not.

    Args:
      lengths: of all items.
      finished: which of them are done.
      batch_size: the largest size of a batch; all have this size, or that of the list where it is shorter.
    """
    size = min(batch_size, len(lengths))
    todo = [place for place, done in enumerate(finished) if not done]
    chosen = [[todo[i] for i in batch] for batch in batches_by_length([lengths[place] for place in todo], size)]
    return [Places(real, real + real[-1:] * (size - len(real))) for real in chosen]


def one_ahead(batches: Iterable[Batch], start: Callable[[Batch], Started]) -> Iterator[tuple[Batch, Started]]:
    """Each batch with what `start` gave for it, after the next one was started: a device need not wait for the disk.

    JAX gives back arrays before they are computed, so the device works on the next batch while the caller fetches and
    writes the results of this one. An error or an interruption in starting a batch comes after the results of those
    before it.
    """
    waiting: tuple[Batch, Started] | None = None
    for batch in batches:
        try:
            started = start(batch)
        except BaseException:  # Who interrupts loses no batch that was computed already.
            if waiting is not None:
                yield waiting
            raise
        if waiting is not None:
            yield waiting
        waiting = batch, started
    if waiting is not None:
        yield waiting
