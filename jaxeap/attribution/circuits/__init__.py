"""Circuits: choosing edges by their scores, pruning them, and running the model on them alone."""

from jaxeap.attribution.circuits.circuit import Circuit
from jaxeap.attribution.circuits.curve import FaithfulnessCurve, RandomCircuits, faithfulness_curve
from jaxeap.attribution.circuits.faithfulness import Faithfulness, faithfulness
from jaxeap.attribution.circuits.losses import circuit_losses
from jaxeap.attribution.circuits.pruning import prune
from jaxeap.attribution.circuits.selection import edges_above, greedy_edges, top_edges

__all__ = [
    "Circuit",
    "Faithfulness",
    "FaithfulnessCurve",
    "RandomCircuits",
    "circuit_losses",
    "edges_above",
    "faithfulness",
    "faithfulness_curve",
    "greedy_edges",
    "prune",
    "top_edges",
]
