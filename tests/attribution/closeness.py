"""How near two score arrays must be: measured in each example's own largest score."""

import numpy as np


def score_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest |difference| of an example as a share of its largest |score|; the worst example's. Arrays [B, S, J]."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape and found.ndim == 3, (found.shape, expected.shape)
    difference, size = np.abs(found - expected).max(axis=(1, 2)), np.abs(expected).max(axis=(1, 2))
    assert (size > 0).all(), "an example without a single score shows nothing"
    return float((difference / size).max())  # NaN fails every comparison that a test makes


def assert_scores_close(found: np.ndarray, expected: np.ndarray, share: float) -> None:
    error = score_error(found, expected)
    assert error <= share, f"off by {error:.2e} of the largest score, {share:.0e} is allowed"
