"""jaxeap: what did RL fine-tuning change inside a language model? Edge attribution patching in JAX."""

from jaxeap.attribution.attribute import attribute, mean_sources
from jaxeap.attribution.audit import Audit, audit
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.result import AttributionResult
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder

__all__ = [
    "AttributionResult",
    "Audit",
    "Batch",
    "Decoder",
    "EdgeGraph",
    "attribute",
    "audit",
    "load_model",
    "mean_sources",
]
