"""Sequences of different lengths as one padded array; the padding is random tokens, so that only the mask tells."""

from collections.abc import Sequence

import numpy as np


def pad(sequences: Sequence[np.ndarray], side: str, vocab_size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and mask, both [B, longest + 2]: with padding on the "left" or "right" of even the longest one."""
    length = max(map(len, sequences)) + 2
    tokens = np.random.default_rng(seed).integers(0, vocab_size, (len(sequences), length), np.int32)
    mask = np.zeros(tokens.shape, bool)
    for row, sequence in enumerate(sequences):
        real = slice(0, len(sequence)) if side == "right" else slice(length - len(sequence), length)
        tokens[row, real], mask[row, real] = sequence, True
    return tokens, mask
