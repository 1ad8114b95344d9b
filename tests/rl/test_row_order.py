"""The order of rows: everything once before anything twice."""

import numpy as np

from jaxeap.rl.row_order import cycled_rows


def test_batches_are_cut_from_one_line_of_permutations() -> None:
    line = np.concatenate([cycled_rows(7, 3, step, (5,)) for step in range(14)])
    epochs = line.reshape(6, 7)
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_a_batch_may_be_larger_than_what_there_is() -> None:
    rows = cycled_rows(3, 8, 1, (5, 6))
    assert rows.shape == (8,) and np.bincount(rows).min() >= 2
    np.testing.assert_array_equal(rows, np.concatenate([cycled_rows(3, 4, step, (5, 6)) for step in (2, 3)]))
