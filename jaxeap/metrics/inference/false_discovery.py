"""Many tests at once: q-values."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from jaxeap.metrics.entries import FloatArray


def q_values(p_values: Sequence[float | None] | FloatArray) -> FloatArray:
    """Benjamini-Hochberg q-values: to call all with q <= 0.05 changed is to err in at most 5% of them on average.

    From Benjamini and Hochberg, "Controlling the False Discovery Rate", JRSS B 57 (1995); holds for independent tests
    and for tests that depend on each other positively.

    Args:
        p_values: any number; None or NaN where there was no test, which then counts for nothing.

    Returns:
        As many float64, NaN where there was no test.
    """
    values = np.array([np.nan if p is None else p for p in p_values], np.float64)
    tested = np.isfinite(values)
    found = np.full(len(values), np.nan)
    if tested.any():
        found[tested] = stats.false_discovery_control(values[tested], method="bh")
    return found
