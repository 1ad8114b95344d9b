"""Which prompts run together: those of like length, padded to one of few lengths, each of which compiles once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STEPS_PER_OCTAVE = 4


def padded_length(length: int) -> int:
    """The length that a prompt of `length` tokens is padded to: 1 to 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, ...

    Four lengths from each power of two to the next: less than a fifth of it is padding, and prompts of up to 4096
    tokens need no more than 44 compilations.
    """
    step = max(1, 2 ** (length.bit_length() - 1) // STEPS_PER_OCTAVE)
    return -(-length // step) * step


def batches_by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Places of the prompts in batches of `batch_size` (the last may be smaller), the longest prompts first.

    Longest first, so that a batch that does not fit into memory fails at once and not after hours.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def pad_right(sequences: Sequence[Sequence[int]], length: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Token lists as one array.

    Args:
      sequences: none longer than `length`, and no more than `rows` of them.
      length: T of the result.
      rows: B of the result; rows beyond the sequences are empty.

    Returns:
      tokens [B, T] int32, padded with 0; lengths [B] int32.
    """
    tokens = np.zeros((rows, length), np.int32)
    lengths = np.zeros((rows,), np.int32)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)] = sequence
        lengths[row] = len(sequence)
    return tokens, lengths
