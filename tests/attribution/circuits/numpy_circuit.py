"""A circuit in float64 NumPy, from its definition alone: each read is a sum over sources, source by source."""

from __future__ import annotations

import numpy as np

from tests.attribution.numpy_graph import NumpyGraph, Outputs


def circuit_loss(graph: NumpyGraph, edges: np.ndarray, ablated: np.ndarray) -> float:
    """Loss of one example in the circuit edges [S, J] with ablated values [S, T, D]."""
    names = graph.graph

    def read(destination: str, residual: np.ndarray, outputs: Outputs) -> np.ndarray:
        column = names.destinations.index(destination)
        total = np.zeros_like(residual)
        for name, output in outputs.items():
            row = names.sources.index(name)
            total += output if edges[row, column] else ablated[row]
        return total

    return graph.loss_when(read)
