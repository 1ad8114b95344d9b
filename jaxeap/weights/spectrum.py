"""Singular values of a matrix that is seen by blocks of rows only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

Blocks = Callable[[], Iterator[npt.NDArray]]
"""Gives the matrix's blocks of rows from the first to the last, anew at each call."""

EXACT = 256
"""A matrix whose shorter side is at most this long is decomposed whole."""
OVERSAMPLING = 16


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """The largest singular values of a matrix.

    Attributes:
      singular_values: in falling order: all of them where `exact`, or the first as found in a random sketch, which
        are too small rather than too large.
      squared_norm: the sum of the squares of all singular values, from the entries themselves.
      exact: whether they come from the whole matrix.
    """

    singular_values: tuple[float, ...]
    squared_norm: float
    exact: bool

    @property
    def stable_rank(self) -> float | None:
        """Squared Frobenius norm over squared spectral norm, between 1 and the rank; None for a matrix of zeros."""
        top = self.singular_values[0] if self.singular_values else 0.0
        return self.squared_norm / top**2 if top > 0 else None

    def energy(self, count: int) -> float | None:
        """Share of the squared norm in the `count` largest singular values; None for a matrix of zeros.

        Raises:
          ValueError: so many are not known.
        """
        if count > len(self.singular_values) and not self.exact:
            raise ValueError(f"{count} singular values were asked for, and {len(self.singular_values)} are known")
        kept = sum(value**2 for value in self.singular_values[:count])
        return min(1.0, kept / self.squared_norm) if self.squared_norm > 0 else None


def spectrum(blocks: Blocks, shape: tuple[int, int], squared_norm: float, rank: int = 64, seed: int = 0) -> Spectrum:
    """The `rank` largest singular values, in two passes over the blocks and memory for one block and a sketch.

    Randomised subspace iteration (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4 with q = 1): with random
    Omega [columns, r], Q an orthonormal basis of D^T D Omega; the singular values of D Q are those of D within the
    subspace that Q spans, and so never larger.

    Args:
      blocks: of the matrix D.
      shape: of D.
      squared_norm: of D.
      rank: how many singular values.
      seed: of Omega.
    """
    rows, columns = shape
    if min(shape) <= EXACT:
        # Gram's matrix of the shorter side; its eigenvalues are the squares.
        if columns <= rows:
            gram = sum((block.T @ block for block in _float64(blocks)), np.zeros((columns, columns)))
        else:
            whole = np.concatenate([np.asarray(block, np.float32) for block in blocks()]).astype(np.float64)
            gram = whole @ whole.T
        return Spectrum(_roots(gram), squared_norm, exact=True)
    size = min(rank + OVERSAMPLING, *shape)
    omega = np.random.default_rng(seed).standard_normal((columns, size))
    image = sum((block.T @ (block @ omega) for block in _float64(blocks)), np.zeros((columns, size)))
    basis, _ = np.linalg.qr(image)
    gram = np.zeros((size, size))
    for block in _float64(blocks):
        projected = block @ basis
        gram += projected.T @ projected
    return Spectrum(_roots(gram)[:rank], squared_norm, exact=False)


def _float64(blocks: Blocks) -> Iterator[npt.NDArray[np.float64]]:
    for block in blocks():
        yield block.astype(np.float64)


def _roots(gram: npt.NDArray[np.float64]) -> tuple[float, ...]:
    values = np.linalg.eigvalsh(gram)[::-1]
    return tuple(float(value) for value in np.sqrt(np.maximum(values, 0)))
