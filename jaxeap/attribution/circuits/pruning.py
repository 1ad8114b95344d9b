"""Which edges of a circuit can matter: those on a path from the embedding to the logits."""

from __future__ import annotations

import numpy as np

from jaxeap.attribution.circuits.circuit import Circuit
from jaxeap.attribution.graph import EdgeGraph, Source


def sources_fed(graph: EdgeGraph) -> list[np.ndarray]:
    """For each destination, the rows of the sources that are computed from what it reads.

    A head is fed by its own query and by the key and the value of the key/value head that it reads, which it may share
    with other heads; a feed-forward layer by its one input; nothing is fed by the logits.
    """
    row = {node: index for index, node in enumerate(graph.source_nodes)}
    heads, kv_heads = (
        sum(node.kind == kind and node.layer == 0 for node in graph.destination_nodes) for kind in ("query", "key")
    )
    fed = []
    for kind, layer, head in graph.destination_nodes:
        if kind == "logits":
            nodes = []
        elif kind == "mlp":
            nodes = [Source("mlp", layer)]
        elif kind == "query":
            nodes = [Source("attention", layer, head)]
        else:
            group = heads // kv_heads
            nodes = [Source("attention", layer, reader) for reader in range(head * group, (head + 1) * group)]
        fed.append(np.array([row[node] for node in nodes], np.int64))
    return fed


def widest_paths(strength: np.ndarray, graph: EdgeGraph) -> np.ndarray:
    """The weakest edge of the best path embed -> ... -> logits through each edge.

    An edge survives the pruning of {strength >= threshold} exactly when this is at least the threshold, so one call
    answers for every threshold at once. Columns stand in the order in which they are read: one sweep forward and one
    backward see every path.

    Args:
      strength: [S, J] float.
      graph: names the rows and columns.

    Returns:
      [S, J] float64, -inf where there is no edge or no path.
    """
    strength = np.where(graph.mask, np.asarray(strength, np.float64), -np.inf)
    fed = sources_fed(graph)
    from_embed = np.full(len(graph.sources), -np.inf)
    from_embed[graph.sources.index("embed")] = np.inf
    for column, rows in enumerate(fed):
        arriving = np.minimum(from_embed, strength[:, column]).max()
        from_embed[rows] = np.maximum(from_embed[rows], arriving)
    to_logits = np.full(len(graph.sources), -np.inf)
    onwards = np.full(len(graph.destinations), -np.inf)
    for column in reversed(range(len(fed))):
        is_logits = graph.destination_nodes[column].kind == "logits"
        onwards[column] = np.inf if is_logits else to_logits[fed[column]].max()
        to_logits = np.maximum(to_logits, np.minimum(strength[:, column], onwards[column]))
    return np.minimum(strength, np.minimum(from_embed[:, None], onwards[None, :]))


def prune(circuit: Circuit) -> Circuit:
    """The circuit without the edges that lie on no path embed -> ... -> logits; `asked` stays, `kept` falls.

    Edges that do not lead to the logits never matter. Those into which nothing flows from the embedding carry a source
    that is computed from ablated values alone: under ablation "corrupted" that is its ablated value, so they do not
    matter either; under "zero" and "mean" it need not be (biases; the mean of outputs is not the output of means), and
    there pruning is a choice, the one that EAP-IG and MIB make.
    """
    alive = widest_paths(np.where(circuit.edges, 1.0, -np.inf), circuit.graph) > 0
    return Circuit(alive, circuit.graph, circuit.asked)
