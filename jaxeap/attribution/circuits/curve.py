"""Faithfulness against circuit size, its areas, and what random circuits of the same sizes reach."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np
from jax.typing import ArrayLike
from scipy.integrate import trapezoid

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits.circuit import Circuit
from jaxeap.attribution.circuits.faithfulness import Faithfulness, faithfulness
from jaxeap.attribution.circuits.metric import Metric
from jaxeap.attribution.circuits.selection import (
    ORDERS,
    RankedBy,
    Selection,
    edge_strength,
    nested_circuits,
    top_order,
)
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.interventions import Ablation
from jaxeap.attribution.result import AttributionResult
from jaxeap.attribution.sources import Sources
from jaxeap.models.model import Decoder

MIB_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of all edges at which MIB (arXiv 2504.13151) evaluates circuits."""


def areas(shares: np.ndarray, overall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CPR and CMD of MIB (arXiv 2504.13151): the areas under faithfulness f and under |1 - f|, over share of edges.

    Trapezoid rule on the linear scale from the first share to the last, not divided by its width, as in MIB's code
    (whose `log_scale` changes nothing). CPR near 1: the model's effect comes back with few edges; CMD near 0: the
    circuits behave as the model does.

    Args:
      shares: [K], ascending.
      overall: [..., K].

    Returns:
      Two arrays [...].
    """
    return trapezoid(overall, shares, axis=-1), trapezoid(np.abs(1 - overall), shares, axis=-1)


@dataclasses.dataclass(frozen=True, eq=False)
class RandomCircuits:
    """What R draws of random edges reach at the K sizes of a curve.

    Attributes:
      kept: [R, K] int, edges really in the circuits: as near as can be to the curve's own.
      overall: [R, K] float64, faithfulness.
      cpr, cmd: [R] float64.
    """

    kept: np.ndarray
    overall: np.ndarray
    cpr: np.ndarray
    cmd: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """[K], mean faithfulness over the draws."""
        return self.overall.mean(axis=0)

    def interval(self, level: float = 0.95) -> np.ndarray:
        """[2, K], between which faithfulnesses a share `level` of the draws lies (not the error of their mean)."""
        return np.quantile(self.overall, [(1 - level) / 2, (1 + level) / 2], axis=0)


@dataclasses.dataclass(frozen=True, eq=False)
class FaithfulnessCurve:
    """Faithfulness of nested circuits.

    Attributes:
      sizes: [K] int, edges asked for, ascending.
      faithfulness: of the K circuits; its `circuits` are in this order.
      random: random circuits of the same sizes, or None.
    """

    sizes: np.ndarray
    faithfulness: Faithfulness
    random: RandomCircuits | None

    @property
    def shares(self) -> np.ndarray:
        """[K], `sizes` as shares of all edges: what the areas are taken over."""
        return self.sizes / self.faithfulness.circuits[0].graph.num_edges

    @property
    def kept(self) -> np.ndarray:
        """[K] int, edges left after pruning."""
        return np.array([circuit.kept for circuit in self.faithfulness.circuits])

    @property
    def overall(self) -> np.ndarray:
        """[K] float64, faithfulness."""
        return self.faithfulness.overall

    @property
    def cpr(self) -> float:
        """Area under faithfulness, see `areas`."""
        return float(areas(self.shares, self.overall)[0])

    @property
    def cmd(self) -> float:
        """Area under |1 - faithfulness|, see `areas`."""
        return float(areas(self.shares, self.overall)[1])

    def smallest(self, at_least: float) -> Circuit | None:
        """The circuit of the fewest edges from which on faithfulness stays at or above `at_least`, or None."""
        enough = np.logical_and.accumulate((self.overall >= at_least)[::-1])[::-1]
        return self.faithfulness.circuits[int(enough.argmax())] if enough.any() else None


def faithfulness_curve(
    model: Decoder,
    batches: Batch | Iterable[Batch],
    scores: AttributionResult | ArrayLike,
    graph: EdgeGraph | None = None,
    sizes: Sequence[int] | None = None,
    select: Selection = "top",
    by: RankedBy = "absolute_mean",
    after_pruning: bool = False,
    ablation: Ablation | None = None,
    reference: Sources | None = None,
    metric: Metric = "loss",
    random_draws: int = 10,
    seed: int | None = None,
    side_by_side: int | None = None,
) -> FaithfulnessCurve:
    """Faithfulness of circuits of growing size, chosen by their scores, beside random circuits.

    Random circuits are compared at equal numbers of edges that are really left: edges drawn at random mostly lie on no
    path, and circuits of equal n before pruning would be nearly empty. Cost: one run for each different circuit, at
    most K (1 + random_draws).

    Args:
      model: the decoder.
      batches: the examples; better not those that the scores come from.
      scores: a result of `attribute`, or scores [B, S, J] or [S, J] with their `graph`.
      graph: of bare scores.
      sizes: edges asked for; None takes MIB's ten shares of all edges, from 0.1% to 100%, as whole edges.
      select: "top" or "greedy", see `top_edges` and `greedy_edges`.
      by: what makes an edge strong.
      after_pruning: sizes count edges that are left, see `top_edges`.
      ablation: None takes the one that the scores were made with.
      reference: mean outputs of the sources, for ablation "mean".
      metric: as in `faithfulness`.
      random_draws: R; 0 for no baseline.
      seed: of the random circuits, and of the draw for ablation "resample"; None takes the scores' own, or 0.
      side_by_side: as in `faithfulness`.

    Raises:
      ValueError: scores without a graph or an ablation, a size beyond the graph, or what `faithfulness` refuses.
    """
    matrix: ArrayLike
    if isinstance(scores, AttributionResult):
        matrix, graph, ablation = scores.scores, scores.graph, ablation or scores.ablation
        seed = scores.seed if seed is None else seed
    else:
        matrix = scores
    if graph is None or ablation is None:
        raise ValueError("bare scores say neither their graph nor their ablation: give graph= and ablation=")
    if select not in get_args(Selection):
        raise ValueError(f"select={select!r} is unknown; use one of {', '.join(get_args(Selection))}")
    seed = seed or 0
    if sizes is None:
        sizes = [int(share * graph.num_edges) for share in MIB_SHARES]
    sizes = sorted(set(sizes))
    circuits = nested_circuits(ORDERS[select](edge_strength(matrix, graph, by), graph), graph, sizes, after_pruning)
    rng = np.random.default_rng(seed)
    draws = [
        nested_circuits(
            top_order(np.where(graph.mask, rng.random(graph.mask.shape), -np.inf), graph),
            graph,
            [circuit.kept for circuit in circuits],
            after_pruning=True,
        )
        for _ in range(random_draws)
    ]
    everything = [*circuits, *(circuit for draw in draws for circuit in draw)]
    found = faithfulness(model, batches, everything, ablation, reference, metric, seed, side_by_side)
    own = dataclasses.replace(found, circuits=tuple(circuits), values=found.values[: len(circuits)])
    curve = FaithfulnessCurve(np.array(sizes), own, None)
    if not draws:
        return curve
    overall = found.overall[len(circuits) :].reshape(random_draws, len(circuits))
    kept = np.array([[circuit.kept for circuit in draw] for draw in draws])
    return dataclasses.replace(curve, random=RandomCircuits(kept, overall, *areas(curve.shares, overall)))
