"""Padding and batching by length."""

import numpy as np

from jaxeap.sampling.batching import batches_by_length, pad_right, padded_length


def test_padded_lengths_are_few_and_waste_less_than_a_fifth() -> None:
    lengths = range(1, 4097)
    padded = [padded_length(length) for length in lengths]
    assert sorted(set(padded))[:16] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32]
    assert len(set(padded)) == 44
    assert all(length <= pad and (pad - length) * 5 < pad for length, pad in zip(lengths, padded, strict=True))
    assert all(padded_length(pad) == pad for pad in set(padded))


def test_batches_hold_every_place_once_and_the_longest_first() -> None:
    lengths = [3, 9, 1, 9, 4, 2, 7]
    batches = batches_by_length(lengths, 3)
    assert [[lengths[place] for place in batch] for batch in batches] == [[9, 9, 7], [4, 3, 2], [1]]
    assert sorted(place for batch in batches for place in batch) == list(range(7))


def test_pad_right() -> None:
    tokens, lengths = pad_right([[5, 6], [7]], 3, 3)
    np.testing.assert_array_equal(tokens, [[5, 6, 0], [7, 0, 0], [0, 0, 0]])
    assert lengths.tolist() == [2, 1, 0]
    assert (tokens.dtype, lengths.dtype) == (np.int32, np.int32)
