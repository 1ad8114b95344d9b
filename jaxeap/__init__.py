"""jaxeap: what did RL fine-tuning change inside a language model? Edge attribution patching in JAX."""

from jaxeap.attribution.attention_flow import attention_flow
from jaxeap.attribution.attribute import attribute, mean_sources
from jaxeap.attribution.audit import Audit, audit
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits import (
    Circuit,
    edges_above,
    faithfulness,
    faithfulness_curve,
    greedy_edges,
    top_edges,
)
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.neurons import NeuronScores, attribute_neurons
from jaxeap.attribution.nodes import NodeScores, node_scores
from jaxeap.attribution.result import AttributionResult
from jaxeap.attribution.rollout import attention_rollout
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from jaxeap.models.tunix.adapter import TunixDecoder
from jaxeap.models.tunix.convert import from_tunix
from jaxeap.weights import contrast_weights

__all__ = [
    "AttributionResult",
    "Audit",
    "Batch",
    "Circuit",
    "Decoder",
    "EdgeGraph",
    "NeuronScores",
    "NodeScores",
    "TunixDecoder",
    "attention_flow",
    "attention_rollout",
    "attribute",
    "attribute_neurons",
    "audit",
    "contrast_weights",
    "edges_above",
    "faithfulness",
    "faithfulness_curve",
    "from_tunix",
    "greedy_edges",
    "load_model",
    "mean_sources",
    "node_scores",
    "top_edges",
]
