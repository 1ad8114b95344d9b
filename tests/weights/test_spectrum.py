"""Singular values, against NumPy's decomposition of the whole matrix."""

import numpy as np
import pytest

from jaxeap.weights.spectrum import Spectrum, spectrum


def of(matrix: np.ndarray, step: int, **arguments) -> Spectrum:
    def blocks():
        for start in range(0, len(matrix), step):
            yield matrix[start : start + step]

    return spectrum(blocks, matrix.shape, float(np.sum(np.square(matrix, dtype=np.float64))), **arguments)


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (300, 256)])
@pytest.mark.parametrize("step", [7, 1000])
def test_small_matrices_are_exact(shape: tuple[int, int], step: int):
    matrix = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = of(matrix, step)
    expected = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    assert found.exact and len(found.singular_values) == min(shape)
    np.testing.assert_allclose(found.singular_values, expected, rtol=1e-5)
    np.testing.assert_allclose(found.stable_rank, np.sum(expected**2) / expected[0] ** 2, rtol=1e-6)
    np.testing.assert_allclose(found.energy(5), np.sum(expected[:5] ** 2) / np.sum(expected**2), rtol=1e-6)
    assert found.energy(1000) == pytest.approx(1)


@pytest.mark.parametrize("step", [64, 1000])
def test_the_sketch_finds_a_low_rank_and_never_too_much(step: int):
    rng = np.random.default_rng(1)
    low = rng.standard_normal((400, 8)) * 2.0 ** -np.arange(8) @ rng.standard_normal((8, 500))
    matrix = (low + 1e-3 * rng.standard_normal((400, 500))).astype(np.float32)
    found = of(matrix, step, rank=20)
    expected = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    assert not found.exact and len(found.singular_values) == 20
    np.testing.assert_allclose(found.singular_values[:8], expected[:8], rtol=1e-5)
    assert (np.asarray(found.singular_values) <= expected[:20] * (1 + 1e-9)).all()
    assert found.energy(8) == pytest.approx(np.sum(expected[:8] ** 2) / np.sum(expected**2), rel=1e-5)
    with pytest.raises(ValueError, match="21 singular values were asked for, and 20 are known"):
        found.energy(21)


def test_a_flat_spectrum_is_seen_from_below():
    matrix = np.random.default_rng(2).standard_normal((512, 512)).astype(np.float32)
    found, expected = of(matrix, 100), np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    assert 0.9 < found.singular_values[0] / expected[0] <= 1 + 1e-9
    assert (np.asarray(found.singular_values) <= expected[:64] * (1 + 1e-9)).all()


def test_rank_one_and_zero():
    matrix = np.outer(np.arange(1, 6), np.arange(1, 4)).astype(np.float32)
    assert of(matrix, 2).stable_rank == pytest.approx(1)
    nothing = of(np.zeros((5, 3), np.float32), 2)
    assert (nothing.stable_rank, nothing.energy(1)) == (None, None)
