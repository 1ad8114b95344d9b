"""Two circuits side by side: which edges and nodes appear, vanish, strengthen or weaken, and how far both overlap."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.stats

from jaxeap.metrics.entries import BoolArray, FloatArray

Change = Literal["appear", "vanish", "strengthen", "weaken", "unchanged"]
"""Of an edge or node: in tuned alone, in base alone, in both and stronger, weaker or equally strong in tuned."""

FEWEST_RANKED = 3
"""Of two edges a rank correlation is 1 or -1 whatever they are."""


@dataclasses.dataclass(frozen=True)
class Overlap:
    """How far two sets of edges are one. A value that does not exist is None.

    Attributes:
        base, tuned, kept: edges of either circuit, and of both.
        appear, vanish, strengthen, weaken: edges by what became of them; kept ones that are neither stronger nor weaker
            are in none of these.
        jaccard: edges of both over edges of either.
        chance, chance_interval: Jaccard expected of two random sets of these sizes, and where it lies 95 times in 100.
        weighted_overlap: Ruzicka's similarity, sum of the smaller strengths over sum of the larger ones, an edge
            outside of a circuit having none in it. A circuit that is stronger throughout has less of it.
        pattern_overlap: the same of strengths as shares of their circuit's sum, which a common factor leaves as it is.
        rank_correlation: Spearman's, over the kept edges.
    """

    base: int
    tuned: int
    kept: int
    appear: int
    vanish: int
    strengthen: int
    weaken: int
    jaccard: float | None
    chance: float | None
    chance_interval: tuple[float, float] | None
    weighted_overlap: float | None
    pattern_overlap: float | None
    rank_correlation: float | None


def overlap(base: FloatArray, tuned: FloatArray, base_edges: BoolArray, tuned_edges: BoolArray, edges: int) -> Overlap:
    """Compares two circuits of one graph.

    Args:
        base, tuned: [S, J] strength of every edge in either model, not negative on the circuits' edges.
        base_edges, tuned_edges: [S, J] bool, the circuits.
        edges: number of edges of the graph, out of which random circuits are drawn.

    Raises:
        ValueError: shapes that differ, a negative or undefined strength in a circuit, or more circuit edges than edges.
    """
    _check(base, tuned, base_edges, tuned_edges)
    sizes = int(base_edges.sum()), int(tuned_edges.sum())
    changes = changes_of(base, tuned, base_edges, tuned_edges)
    counts = {change: int(members.sum()) for change, members in changes.items()}
    kept = base_edges & tuned_edges
    either = base_edges | tuned_edges
    own = [np.where(members, strength, 0.0)[either] for strength, members in ((base, base_edges), (tuned, tuned_edges))]
    chance = chance_jaccard(*sizes, edges)
    return Overlap(
        base=sizes[0],
        tuned=sizes[1],
        kept=int(kept.sum()),
        appear=counts["appear"],
        vanish=counts["vanish"],
        strengthen=counts["strengthen"],
        weaken=counts["weaken"],
        jaccard=jaccard(base_edges, tuned_edges),
        chance=None if chance is None else chance[0],
        chance_interval=None if chance is None else chance[1:],
        weighted_overlap=ruzicka(*own),
        pattern_overlap=ruzicka(*map(_shares, own)),
        rank_correlation=rank_correlation(base[kept], tuned[kept]),
    )


def changes_of(base: FloatArray, tuned: FloatArray, in_base: BoolArray, in_tuned: BoolArray) -> dict[Change, BoolArray]:
    """What became of each edge or node, arrays of any one shape.

    Args:
        base, tuned: strengths.
        in_base, in_tuned: which are in either circuit.

    Returns:
        For each kind of change which ones are of it; what is in neither circuit is of none.
    """
    kept = in_base & in_tuned
    return {
        "appear": in_tuned & ~in_base,
        "vanish": in_base & ~in_tuned,
        "strengthen": kept & (tuned > base),
        "weaken": kept & (tuned < base),
        "unchanged": kept & (tuned == base),
    }


def node_strengths(strength: FloatArray, circuit: BoolArray) -> FloatArray:
    """[S], what a circuit's edges carry away from each source together; 0 for a source that is not in the circuit."""
    return np.where(circuit, strength, 0.0).sum(axis=1)


def circuit_nodes(circuit: BoolArray) -> BoolArray:
    """[S] bool, the sources that some edge of the circuit leaves."""
    return np.asarray(circuit.any(axis=1))


def jaccard(base_edges: BoolArray, tuned_edges: BoolArray) -> float | None:
    """Edges of both over edges of either; None where there is none."""
    either = int((base_edges | tuned_edges).sum())
    return int((base_edges & tuned_edges).sum()) / either if either else None


def chance_jaccard(base: int, tuned: int, edges: int, level: float = 0.95) -> tuple[float, float, float] | None:
    """What Jaccard's index is of two random sets of edges: expected value, and the ends of the central `level`.

    The overlap K of two independent sets, every set of its size equally likely, is hypergeometric, and the index is
    K / (base + tuned - K). A circuit's edges lie on paths, so pruned random circuits overlap somewhat more than that.

    Args:
        base, tuned: sizes of the sets.
        edges: number of edges that they are drawn from.

    Returns:
        (expected, low, high), or None for two empty sets.

    Raises:
        ValueError: a set larger than the graph.
    """
    if not 0 <= min(base, tuned) <= max(base, tuned) <= edges:
        raise ValueError(f"circuits of {base} and {tuned} edges do not fit into a graph of {edges}")
    if not base + tuned:
        return None
    common = scipy.stats.hypergeom(edges, base, tuned)
    overlaps = np.arange(max(0, base + tuned - edges), min(base, tuned) + 1)
    expected = float(np.sum(common.pmf(overlaps) * overlaps / (base + tuned - overlaps)))
    low, high = (float(end) / (base + tuned - float(end)) for end in common.interval(level))
    return expected, low, high


def ruzicka(first: FloatArray, second: FloatArray) -> float | None:
    """Sum of the smaller over sum of the larger of each pair, of values that are not negative; None of zeros alone."""
    larger = float(np.maximum(first, second).sum())
    return float(np.minimum(first, second).sum()) / larger if larger else None


def rank_correlation(first: FloatArray, second: FloatArray) -> float | None:
    """Spearman's correlation of two vectors; None where one is constant or they are shorter than `FEWEST_RANKED`."""
    if len(first) < FEWEST_RANKED or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(scipy.stats.spearmanr(first, second).statistic)


@dataclasses.dataclass(frozen=True)
class HalvesOverlap:
    """Jaccard of circuits that come from different halves of the questions, means over random splits.

    Questions differ between the halves, so circuits do too when nothing else differs. Only a `between` that is lower
    than both `within` speaks of a change between the models.

    Attributes:
        within_base, within_tuned: of one model's circuits from one half and from the other.
        between: of base's circuit from one half and tuned's from the other.
        splits: how many were drawn.
    """

    within_base: float | None
    within_tuned: float | None
    between: float | None
    splits: int


def halves_overlap(halves: Sequence[tuple[BoolArray, BoolArray, BoolArray, BoolArray]]) -> HalvesOverlap:
    """Summarises circuits of halves.

    Args:
        halves: for each split base's circuits from the first and the second half, then tuned's, each [S, J] bool.
    """
    within_base = [jaccard(base, other) for base, other, _, _ in halves]
    within_tuned = [jaccard(tuned, other) for _, _, tuned, other in halves]
    between = [
        jaccard(base, tuned)
        for first, second, third, fourth in halves
        for base, tuned in ((first, fourth), (second, third))
    ]
    return HalvesOverlap(_mean(within_base), _mean(within_tuned), _mean(between), len(halves))


def listed_changes(
    changes: dict[Change, BoolArray], base: FloatArray, tuned: FloatArray, names: Sequence[str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The edges of [S, J] arrays, or nodes of [S] arrays, of each kind of change, the strongest first.

    Args:
        changes: from `changes_of`.
        base, tuned: strengths.
        names: of the nodes; None lists edges as their "row" and "column".
    """
    listed = {}
    for change, members in changes.items():
        places = np.argwhere(members)
        largest = np.maximum(base, tuned)[members]
        records = []
        for place in places[np.argsort(-largest, kind="stable")]:
            at = tuple(int(index) for index in place)
            where = {"row": at[0], "column": at[1]} if names is None else {"node": names[at[0]]}
            records.append(where | {"base": float(base[at]), "tuned": float(tuned[at])})
        listed[str(change)] = records
    return listed


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _shares(strengths: FloatArray) -> FloatArray:
    total = strengths.sum()
    return strengths / total if total else strengths


def _check(base: FloatArray, tuned: FloatArray, base_edges: BoolArray, tuned_edges: BoolArray) -> None:
    shapes: set[tuple[int, ...]] = {array.shape for array in (base, tuned, base_edges, tuned_edges)}
    if len(shapes) > 1:
        raise ValueError(
            f"strengths and circuits are of different graphs: shapes {', '.join(map(str, sorted(shapes)))}"
        )
    for name, strength, members in (("base", base, base_edges), ("tuned", tuned, tuned_edges)):
        inside: npt.NDArray = strength[members]
        if not np.isfinite(inside).all() or (inside < 0).any():
            raise ValueError(f"an edge of the {name} circuit has a strength that is negative or undefined")
