"""How much of what the model does a circuit does."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits.circuit import Circuit
from jaxeap.attribution.circuits.losses import circuit_losses
from jaxeap.attribution.circuits.metric import Metric
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.interventions import Ablation, ablated_sources, check_ablation
from jaxeap.attribution.sources import Sources
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import Weights
from jaxeap.parallel.mesh import entered, example_groups

ROUNDING = 1e-5
"""Differences of a metric below this share of its size (or of 1) may be nothing but float32 rounding."""


@dataclasses.dataclass(frozen=True, eq=False)
class Faithfulness:
    """What C circuits do on N examples, between the model without any edge and the whole model.

    Attributes:
      circuits: the C circuits.
      values: [C, N] float32, the metric m of each example in each circuit.
      full: [N] float32, m of the whole model, run as the circuit of all edges.
      empty: [N] float32, m when every destination reads ablated values alone.
      metric: what m is.
      ablation: what the other edges carry.
    """

    circuits: tuple[Circuit, ...]
    values: np.ndarray
    full: np.ndarray
    empty: np.ndarray
    metric: Metric
    ablation: Ablation

    @property
    def overall(self) -> np.ndarray:
        """[C] float64: (mean m(C) - mean m(empty)) / (mean m(full) - mean m(empty)), means over the examples.

        The ratio of means, as in MIB (arXiv 2504.13151): the mean of ratios would be ruled by the examples on which
        ablation does next to nothing. All edges give exactly 1, none exactly 0; values above 1 and below 0 happen.

        Raises:
          ValueError: ablating everything does not move the mean, so there is nothing for a circuit to bring back.
        """
        full, empty = (values.astype(np.float64).mean() for values in (self.full, self.empty))
        if _is_rounding(full, empty):
            raise ValueError(
                f"faithfulness is undefined: the {self.metric} is {full:.6g} with all edges and {empty:.6g} with none; "
                f"ablation {self.ablation!r} changes nothing on these examples, take another ablation or other examples"
            )
        return (self.values.astype(np.float64).mean(axis=1) - empty) / (full - empty) + 0.0  # no minus zero

    @property
    def per_example(self) -> np.ndarray:
        """[C, N] float64: the same ratio for each example; NaN where ablating everything does not move it."""
        values, full, empty = (array.astype(np.float64) for array in (self.values, self.full, self.empty))
        undefined = _is_rounding(full, empty)
        span = np.where(undefined, np.nan, full - empty)
        return (values - empty[None]) / span[None] + 0.0


def faithfulness(
    model: Decoder,
    batches: Batch | Iterable[Batch],
    circuits: Circuit | Sequence[Circuit],
    ablation: Ablation = "zero",
    reference: Sources | None = None,
    metric: Metric = "loss",
    seed: int = 0,
    side_by_side: int | None = None,
) -> Faithfulness:
    """Runs circuits: every destination reads its circuit edges from the run itself and the ablated value of all others.

    A circuit judged on the examples that it was found on looks better than it is; take others where there are enough.
    The circuits may come from another model of the same shape (is the tuned model's circuit faithful in the base?).

    Args:
      model: the decoder.
      batches: the examples.
      circuits: one or several, all at one level.
      ablation: as in `attribute`; "corrupted" needs `corrupted` in every batch, "resample" draws within a batch.
      reference: mean outputs of the sources, from `mean_sources`, for ablation "mean".
      metric: "loss", or "divergence" (KL from the full model's predictions at the counted positions).
      seed: of the draw for "resample".
      side_by_side: circuits that run at once; None takes as many as fit into memory set aside for it.

    Raises:
      ValueError: no batch or circuit, circuits of different or unfitting graphs, an unknown metric, or what `attribute`
        refuses.
    """
    batches = [batches] if isinstance(batches, Batch) else list(batches)
    circuits = (circuits,) if isinstance(circuits, Circuit) else tuple(circuits)
    if not batches or not circuits:
        raise ValueError("faithfulness needs at least one batch and one circuit")
    if metric not in get_args(Metric):
        raise ValueError(f"metric {metric!r} is unknown; use one of {', '.join(get_args(Metric))}")
    graph = EdgeGraph.for_config(model.config, circuits[0].graph.level)
    for circuit in circuits:
        if (circuit.graph.sources, circuit.graph.destinations) != (graph.sources, graph.destinations):
            raise ValueError("the circuits are not all of one level and of a model with this one's layers and heads")
    for batch in batches:
        check_ablation(ablation, batch, reference)
        batch.check_vocabulary(model.config)
    edges = np.stack([circuit.edges for circuit in (Circuit.full(graph), Circuit.empty(graph), *circuits)])
    columns = []
    for given in batches:
        batch = given if ablation == "resample" else given.filled(example_groups(model.mesh))
        with entered(model.mesh):
            ablated, clean_final = _ablated_and_clean(model.weights, model.config, batch, reference, ablation, seed)
        losses = circuit_losses(
            model.weights, model.config, graph, batch, ablated, edges, metric, clean_final, side_by_side
        )
        columns.append(losses[:, : given.size])
    full, empty, *values = np.concatenate(columns, axis=1)
    return Faithfulness(circuits, np.stack(values), full, empty, metric, ablation)


@functools.partial(jax.jit, static_argnames=("config", "ablation"))
def _ablated_and_clean(
    weights: Weights, config: ModelConfig, batch: Batch, reference: Sources | None, ablation: Ablation, seed: int
) -> tuple[Sources, jax.Array]:
    """Ablated values of all sources, and the full model's last residual stream [B, T, D]."""
    final, captures = run_layers(
        weights, config, embed(weights, config, jnp.asarray(batch.tokens)), jnp.asarray(batch.mask)
    )
    return ablated_sources(weights, config, batch, Sources.of(captures), ablation, reference, seed), final


def _is_rounding(first: npt.ArrayLike, second: npt.ArrayLike) -> np.ndarray:
    return np.abs(np.subtract(first, second)) <= ROUNDING * np.maximum(1.0, np.maximum(np.abs(first), np.abs(second)))
