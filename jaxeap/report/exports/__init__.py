"""Edges and circuits as files that other tools read."""

from jaxeap.report.exports.eap_ig import EapIgShape, eap_ig_graph
from jaxeap.report.exports.edges_csv import write_edges_csv
from jaxeap.report.exports.graphml import write_graphml

__all__ = ["EapIgShape", "eap_ig_graph", "write_edges_csv", "write_graphml"]
