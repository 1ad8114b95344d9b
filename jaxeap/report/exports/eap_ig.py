"""A circuit in the JSON that EAP-IG's `Graph.from_json` reads (github.com/hannamw/EAP-IG).

Its graph has a query, a key and a value for every attention head and calls the embedding `input`. So a key or value
that heads share is written once for each of them: in the graph for all or for none, which is the same circuit, and with
its score split evenly, so that sums over edges stay. At block level a layer's attention is its one head.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_SHARED = re.compile(r"a(?P<layer>\d+)\.kv(?P<head>\d+)<(?P<letter>[kv])>")
_BLOCK = re.compile(r"a(?P<layer>\d+)(?P<reader><[qkv]>)?")


@dataclasses.dataclass(frozen=True)
class EapIgShape:
    """What EAP-IG builds its graph from; heads and kv_heads are 1 for a block-level graph."""

    layers: int
    heads: int
    kv_heads: int
    embed_dim: int
    parallel_blocks: bool

    def to_json(self) -> dict[str, Any]:
        """The file's `cfg`."""
        return {
            "n_layers": self.layers,
            "n_heads": self.heads,
            "parallel_attn_mlp": self.parallel_blocks,
            "d_model": self.embed_dim,
        }


def eap_ig_graph(
    scores: npt.NDArray,
    circuit: npt.NDArray[np.bool_],
    listed: npt.NDArray[np.bool_],
    sources: Sequence[str],
    destinations: Sequence[str],
    shape: EapIgShape,
) -> dict[str, Any]:
    """The content of the file.

    Args:
        scores: [S, J], mean score of each edge; positive where ablating it raises the loss.
        circuit: [S, J] bool, the edges that are in the graph.
        listed: [S, J] bool, the edges to write, of which the circuit's must be a part. To EAP-IG the others have
            score 0 and are not in the graph.
        sources, destinations: S and J names.
        shape: of the model.

    Raises:
        ValueError: an edge of the circuit is not listed.
    """
    if (circuit & ~listed).any():
        raise ValueError("an edge of the circuit is not among the listed ones, so EAP-IG would take it to be outside")
    names = [_node(name) for name in sources]
    readers = [list(_readers(name, shape)) for name in destinations]
    edges: dict[str, dict[str, Any]] = {}
    entered: set[str] = {"input"}
    for row, column in np.argwhere(listed):
        within, score = bool(circuit[row, column]), float(scores[row, column]) / len(readers[column])
        for reader in readers[column]:
            edges[f"{names[row]}->{reader}"] = {"score": score, "in_graph": within}
            if within:
                entered.add(reader.partition("<")[0])
    left = {names[row] for row in np.flatnonzero(circuit.any(axis=1))}
    nodes = {name: {"in_graph": name in left and name in entered} for name in names}
    return {"cfg": shape.to_json(), "nodes": nodes | {"logits": {"in_graph": True}}, "edges": edges}


def _node(name: str) -> str:
    if name == "embed":
        return "input"
    block = _BLOCK.fullmatch(name)
    return name if block is None else f"a{block['layer']}.h0{block['reader'] or ''}"


def _readers(name: str, shape: EapIgShape) -> Iterator[str]:
    """Names of the readers that a destination is to EAP-IG."""
    if (shared := _SHARED.fullmatch(name)) is None:
        yield _node(name)
        return
    group = shape.heads // shape.kv_heads
    for head in range(int(shared["head"]) * group, (int(shared["head"]) + 1) * group):
        yield f"a{shared['layer']}.h{head}<{shared['letter']}>"
