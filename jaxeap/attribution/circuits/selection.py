"""From scores to circuits: the top edges, those above a threshold, or those found backwards from the logits."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from jax.typing import ArrayLike

from jaxeap.attribution.circuits.circuit import Circuit
from jaxeap.attribution.circuits.pruning import prune, sources_fed, widest_paths
from jaxeap.attribution.graph import EdgeGraph

RankedBy = Literal["absolute_mean", "mean_absolute", "mean"]
"""What makes an edge strong: the |mean over examples| of its score (strong in one direction on the whole; EAP-IG and
MIB), the mean of |score| (strong in each example), or the signed mean (raises the loss when ablated)."""

Selection = Literal["top", "greedy"]
"""In which order edges enter: strongest first, or strongest first of those that lead to the logits already."""


def edge_strength(scores: ArrayLike, graph: EdgeGraph, by: RankedBy = "absolute_mean") -> np.ndarray:
    """One number for each edge, by which edges are ranked.

    Args:
      scores: [B, S, J] or, of one example or averaged already, [S, J].
      graph: names the rows and columns.
      by: see `RankedBy`.

    Returns:
      [S, J] float64, -inf where there is no edge.

    Raises:
      ValueError: an unknown `by`, scores of another shape than the graph's, or an edge without a score.
    """
    if by not in get_args(RankedBy):
        raise ValueError(f"by={by!r} is unknown; use one of {', '.join(get_args(RankedBy))}")
    wide = np.asarray(scores, np.float64)
    if wide.ndim not in (2, 3) or wide.shape[-2:] != graph.mask.shape or not wide.size:
        raise ValueError(f"scores {wide.shape} do not fit the {graph.level}-level graph, which is {graph.mask.shape}")
    wide = wide.reshape(-1, *graph.mask.shape)
    if not np.isfinite(wide[:, graph.mask]).all():
        raise ValueError("an edge has no finite score; exact patching of some edges alone does not rank the others")
    mean = np.mean(np.abs(wide) if by == "mean_absolute" else wide, axis=0)
    return np.where(graph.mask, np.abs(mean) if by == "absolute_mean" else mean, -np.inf)


def top_edges(
    scores: ArrayLike, graph: EdgeGraph, n: int, by: RankedBy = "absolute_mean", after_pruning: bool = False
) -> Circuit:
    """The n strongest edges, pruned.

    Args:
      scores: [B, S, J] or [S, J].
      graph: names the rows and columns.
      n: edges asked for.
      by: what makes an edge strong.
      after_pruning: take as many edges as leave a number as near to n as can be (of two equally near, the smaller);
        else take n, and pruning may leave far fewer: compare `Circuit.asked` with `Circuit.kept`.

    Raises:
      ValueError: n beyond the graph, or what `edge_strength` refuses.
    """
    return nested_circuits(top_order(edge_strength(scores, graph, by), graph), graph, [n], after_pruning)[0]


def greedy_edges(
    scores: ArrayLike, graph: EdgeGraph, n: int, by: RankedBy = "absolute_mean", after_pruning: bool = False
) -> Circuit:
    """n edges found backwards from the logits, always the strongest whose destination leads there already; pruned.

    The greedy search of EAP-IG (Hanna, Pezzelle and Belinkov 2024, arXiv 2403.17806). Arguments as of `top_edges`; what
    pruning takes away here is what the embedding does not reach yet.
    """
    return nested_circuits(greedy_order(edge_strength(scores, graph, by), graph), graph, [n], after_pruning)[0]


def edges_above(scores: ArrayLike, graph: EdgeGraph, threshold: float, by: RankedBy = "absolute_mean") -> Circuit:
    """The edges at least as strong as `threshold`, pruned; `asked` is their number before pruning."""
    return prune(Circuit.of(graph.mask & (edge_strength(scores, graph, by) >= threshold), graph))


def nested_circuits(
    order: np.ndarray, graph: EdgeGraph, sizes: Sequence[int], after_pruning: bool = False
) -> list[Circuit]:
    """Circuits of the first n edges of `order`, pruned, for every n of `sizes`.

    Args:
      order: every edge of the graph once, as an index into the flattened [S, J] matrix.
      graph: names the rows and columns.
      sizes: edges asked for.
      after_pruning: as in `top_edges`.

    Raises:
      ValueError: a size is negative or larger than the graph.
    """
    if wrong := [size for size in sizes if not 0 <= size <= graph.num_edges]:
        raise ValueError(f"{wrong[0]} edges were asked for; the {graph.level}-level graph has {graph.num_edges}")
    place = np.full(graph.mask.size, np.inf)
    place[order] = np.arange(len(order))
    alive_from = -widest_paths(-place.reshape(graph.mask.shape), graph)  # in the circuit once n is greater than this
    kept = np.searchsorted(np.sort(alive_from[graph.mask]), np.arange(graph.num_edges + 1))
    taken = [int(np.abs(kept - size).argmin()) for size in sizes] if after_pruning else sizes
    return [Circuit(alive_from < n, graph, int(size)) for n, size in zip(taken, sizes, strict=True)]


def top_order(strength: np.ndarray, graph: EdgeGraph) -> np.ndarray:
    """Edges from the strongest to the weakest, as flat indices; ties in the order of the matrix."""
    return np.argsort(-strength, axis=None, kind="stable")[: graph.num_edges]


def greedy_order(strength: np.ndarray, graph: EdgeGraph) -> np.ndarray:
    """Edges in the order in which a best-first search backwards from the logits takes them, as flat indices."""
    columns_into: list[list[int]] = [[] for _ in graph.sources]
    for column, rows in enumerate(sources_fed(graph)):
        for row in rows:
            columns_into[row].append(column)
    by_strength = np.argsort(-strength, axis=0, kind="stable")
    candidates: list[tuple[float, int, int, int]] = []  # of each open column the best edge that is left

    def offer(column: int, place: int) -> None:
        if place < len(graph.sources) and graph.mask[row := int(by_strength[place, column]), column]:
            heapq.heappush(candidates, (-strength[row, column], row, column, place))

    order: list[int] = []
    is_open = np.zeros(len(graph.destinations), bool)
    is_open[-1] = True
    offer(len(graph.destinations) - 1, 0)
    while candidates:
        _, row, column, place = heapq.heappop(candidates)
        order.append(row * len(graph.destinations) + column)
        offer(column, place + 1)
        for reader in columns_into[row]:
            if not is_open[reader]:
                is_open[reader] = True
                offer(reader, 0)
    return np.array(order, np.int64)


ORDERS: Mapping[Selection, Callable[[np.ndarray, EdgeGraph], np.ndarray]] = MappingProxyType(
    {"top": top_order, "greedy": greedy_order}
)
