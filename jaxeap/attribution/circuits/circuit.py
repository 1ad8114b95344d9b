"""A circuit: which edges of the residual graph are left to carry the run's own values."""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxeap.attribution.graph import EdgeGraph


@dataclasses.dataclass(frozen=True, eq=False)
class Circuit:
    """A set of edges; all others carry their source's ablated value.

    Attributes:
      edges: [S, J] bool, a part of `graph.mask`.
      graph: names the rows and columns.
      asked: how many edges were asked for; pruning may leave fewer, see `kept`.

    Raises:
      ValueError: `edges` is no boolean matrix of the graph's shape, or holds a pair that is no edge.
    """

    edges: np.ndarray
    graph: EdgeGraph
    asked: int

    def __post_init__(self) -> None:
        if self.edges.shape != self.graph.mask.shape or self.edges.dtype != np.bool_:
            raise ValueError(
                f"a circuit of this graph is a bool matrix {self.graph.mask.shape}, "
                f"got {self.edges.dtype} {self.edges.shape}"
            )
        if len(wrong := np.argwhere(self.edges & ~self.graph.mask)):
            raise ValueError(f"{self.graph.edge_names(wrong[:1])[0]} is no edge: its destination reads too early")

    @classmethod
    def of(cls, edges: np.ndarray, graph: EdgeGraph) -> Circuit:
        """The circuit of just these edges, [S, J] bool."""
        return cls(edges, graph, int(edges.sum()))

    @classmethod
    def full(cls, graph: EdgeGraph) -> Circuit:
        """All edges: the model itself."""
        return cls.of(graph.mask.copy(), graph)

    @classmethod
    def empty(cls, graph: EdgeGraph) -> Circuit:
        """No edge: every destination reads ablated values alone."""
        return cls.of(np.zeros_like(graph.mask), graph)

    @property
    def kept(self) -> int:
        """How many edges are really in the circuit."""
        return int(self.edges.sum())

    @property
    def share(self) -> float:
        """`kept` as a share of all edges."""
        return self.kept / self.graph.num_edges

    @property
    def edge_names(self) -> list[str]:
        """ "source->destination" of every edge."""
        return self.graph.edge_names(np.argwhere(self.edges))
