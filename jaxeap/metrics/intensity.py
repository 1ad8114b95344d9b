"""Activation intensity: how strong the edges are on average."""

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import BoolArray, FloatArray, select_entries
from jaxeap.metrics.options import Entries


def intensity_per_example(scores: npt.NDArray, mask: BoolArray, entries: Entries = "all") -> FloatArray:
    """Mean |W| of each example; its mean over examples is the activation intensity (arXiv 2509.21044, Eq. 14).

    Args:
        scores: [N, S, J] edge scores W, in units of the loss (nats per counted token).
        mask: [S, J] bool.
        entries: the matrix entries that count.

    Returns:
        [N] float64, in the units of the scores.
    """
    return np.abs(select_entries(scores, mask, entries)).mean(axis=1)
