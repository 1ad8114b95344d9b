"""What the metrics take from a score array: checks at the border and the choice of matrix entries."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.options import Entries

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def check_scores(
    scores: npt.NDArray, mask: BoolArray, owner: str = "these", places: Sequence[int] | npt.NDArray | None = None
) -> None:
    """Refuses scores that no metric could be computed from.

    Args:
        scores: [N, S, J] float32 or float64, one matrix of edge scores per example.
        mask: [S, J] bool, True where the graph has an edge.
        owner: whose scores they are, for the message ("base", "tuned").
        places: of a shard, which examples it holds, for the message; None where they are all.

    Raises:
        ValueError: wrong rank, shape or dtype, no examples, no edges, NaN or infinity, or a score where no edge is.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.any():
        raise ValueError(
            f"mask must be a boolean [sources, destinations] matrix with at least one edge; got {mask.dtype} "
            f"of shape {mask.shape} with {np.count_nonzero(mask)} non-zero entries"
        )
    if scores.ndim != 3 or scores.shape[1:] != mask.shape:
        raise ValueError(
            f"{owner} scores must have shape [examples, {mask.shape[0]}, {mask.shape[1]}] to fit the graph's mask; "
            f"got {scores.shape}"
        )
    if scores.dtype not in (np.float32, np.float64):
        raise ValueError(f"{owner} scores must be float32 or float64; got {scores.dtype}: convert before summing")
    if len(scores) == 0:
        raise ValueError(f"{owner} scores hold no examples: nothing to measure; loosen the selection of questions")
    non_edges = ~mask
    for example, matrix in zip(range(len(scores)) if places is None else places, scores, strict=True):
        if not np.isfinite(matrix).all():
            source, destination = np.argwhere(~np.isfinite(matrix))[0]
            raise ValueError(
                f"{owner} scores hold {matrix[source, destination]} at example {example}, source {source}, destination "
                f"{destination}: leave that example out, or score it again in float32"
            )
        if matrix[non_edges].any():
            source, destination = np.argwhere(non_edges & (matrix != 0))[0]
            raise ValueError(
                f"{owner} scores are not zero at example {example}, source {source}, destination {destination}, where "
                "the mask has no edge: do scores and mask come from the same graph?"
            )


def select_entries(scores: npt.NDArray, mask: BoolArray, entries: Entries) -> FloatArray:
    """Flattens every example's matrix to the entries that count.

    Args:
        scores: [N, S, J].
        mask: [S, J] bool.
        entries: "all" or "edges", see `MetricOptions`.

    Returns:
        [N, E] float64 with E = S * J or the number of edges.
    """
    flat = scores.reshape(len(scores), -1) if entries == "all" else scores[:, mask]
    return flat.astype(np.float64)
