"""Which rows a step learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def cycled_rows(count: int, batch_size: int, step: int, seed: Sequence[int]) -> np.ndarray:
    """The rows of a step's batch, where all `count` rows come once in random order, then all again in another.

    The batches are cut from one endless line, so that a last, smaller one does not exist.

    Args:
      count: rows that there are.
      batch_size: rows of a batch; may be above `count`.
      step: number of the batch, from 0.
      seed: one or more numbers, of the orders.

    Returns:
      [batch_size] int64.
    """
    first = step * batch_size
    epochs = range(first // count, (first + batch_size - 1) // count + 1)
    line = np.concatenate([np.random.default_rng([*seed, epoch]).permutation(count) for epoch in epochs])
    return line[first - epochs.start * count :][:batch_size]
