"""What every attribution method gives back."""

from __future__ import annotations

import dataclasses

import jax

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.interventions import Ablation


@dataclasses.dataclass(frozen=True, eq=False)
class AttributionResult:
    """Scores of every edge for every example.

    Attributes:
      scores: [B, S, J] float32, zero where there is no edge. Positive: replacing the source by its ablated value, for
        that destination alone, raises the loss (but for "information_flow", whose scores are shares).
      loss: [B] float32, each example's mean -log p over its counted tokens, in nats.
      graph: names the rows and columns.
      method: which method made the scores.
      ablation: what sources were replaced by.
      seed: of the draw for ablation "resample".
      gradient_norm: [B] float32, Euclidean norm of the gradient of each example's loss by its last residual stream:
        what every score of a gradient method scales with. None in a result that was put together without it.
    """

    scores: jax.Array
    loss: jax.Array
    graph: EdgeGraph
    method: str
    ablation: Ablation
    seed: int = 0
    gradient_norm: jax.Array | None = None
