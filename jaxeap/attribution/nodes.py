"""Node-level attribution patching: the edges of a node, added up."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.result import AttributionResult

NOT_ADDITIVE = ("exact", "information_flow")
"""Methods whose edge scores do not add up to anything of the node: effects of single patches, and shares."""


@dataclasses.dataclass(frozen=True, eq=False)
class NodeScores:
    """Scores of every node for every example.

    Attributes:
      sources: [B, S] float32, first-order effect on the loss of replacing a source for all that reads it.
      destinations: [B, J] float32, first-order effect of replacing all that a destination reads.
      loss: [B] float32, in nats.
      graph: names the columns.
    """

    sources: jax.Array
    destinations: jax.Array
    loss: jax.Array
    graph: EdgeGraph


def node_scores(result: AttributionResult) -> NodeScores:
    """Node scores from edge scores, at no further cost.

    A source's output u_s reaches the loss through its readers alone, so its total derivative is the sum of theirs, and

        source[s] = sum_j score[s, j] = <delta_s, dL/du_s>

    is attribution patching of the node (Nanda 2023; Syed, Rager and Conmy 2023, arXiv 2310.10348). Since what a
    destination reads is the sum of its sources,

        destination[j] = sum_s score[s, j] = <x_j ablated - x_j, g_j>.

    With zero ablation that is -<x_j, g_j>, which vanishes up to the norm's epsilon, for a norm undoes any scaling of
    what it reads: use the destinations with another ablation.

    The identities are exact for "eap"; averages of such gradients ("clean_corrupted", integrated gradients along the
    inputs, the modified gradients of "relp") keep them.

    Raises:
      ValueError: the edge scores are of a method in `NOT_ADDITIVE`.
    """
    if result.method in NOT_ADDITIVE:
        raise ValueError(
            f"edge scores of method {result.method!r} do not add up to node scores; take those of a gradient method, "
            "such as 'eap'"
        )
    return NodeScores(jnp.sum(result.scores, axis=2), jnp.sum(result.scores, axis=1), result.loss, result.graph)
