"""The sign-flip permutation test by question."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import FloatArray

_BLOCK = 512


def sign_patterns(examples: int, permutations: int, seed: int) -> tuple[Iterator[FloatArray], bool]:
    """Which questions have their models exchanged: rows of +1 (as they are) and -1.

    Args:
        examples: N.
        permutations: all 2^N patterns where they are no more than this, else so many random ones.
        seed: of the random ones.

    Returns:
        Blocks [<= 512, N], and whether they are all patterns.
    """
    exact = examples < 60 and 2**examples <= permutations
    return (_all_patterns(examples) if exact else _random_patterns(examples, permutations, seed)), exact


def permutation_p_value(
    difference: Callable[[FloatArray], FloatArray],
    examples: int,
    permutations: int,
    seed: int,
    rounding: float = 0.0,
) -> float:
    """Two-sided: how often an exchange of models within questions makes a difference as large as the one observed.

    Exact where all patterns are tried. Else (b + 1) / (m + 1), with b of m random patterns as extreme: never 0, and
    valid for any m (Phipson and Smyth, "Permutation P-values Should Never Be Zero", 2010).

    Args:
        difference: signs [M, N] -> differences [M], see `jaxeap.metrics.swapping`.
        examples: N.
        permutations, seed: as for `sign_patterns`.
        rounding: differences that are less apart count as equal.
    """
    observed = abs(difference(np.ones((1, examples)))[0])
    blocks, exact = sign_patterns(examples, permutations, seed)
    extreme = tried = 0
    for signs in blocks:
        extreme += int((np.abs(difference(signs)) >= observed - rounding).sum())
        tried += len(signs)
    return extreme / tried if exact else (extreme + 1) / (tried + 1)


def _all_patterns(examples: int) -> Iterator[FloatArray]:
    for start in range(0, 2**examples, _BLOCK):
        numbers = np.arange(start, min(start + _BLOCK, 2**examples))
        yield _signs((numbers[:, None] >> np.arange(examples)) & 1)


def _random_patterns(examples: int, permutations: int, seed: int) -> Iterator[FloatArray]:
    generator = np.random.default_rng(seed)
    for start in range(0, permutations, _BLOCK):
        yield _signs(generator.integers(0, 2, size=(min(_BLOCK, permutations - start), examples)))


def _signs(exchanged: npt.NDArray[np.int64]) -> FloatArray:
    return np.where(exchanged == 1, -1.0, 1.0)
