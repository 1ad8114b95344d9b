"""What is computed from edge scores: the paper's metrics, robust companions, and the contrast of two models.

Knows arrays and the graph's arrays only (NumPy and SciPy, float64): no decoder, no JAX.
"""

from jaxeap.metrics.contrast import Contrast, MetricContrast, contrast
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.layer_intensity import LayerIntensity, layer_intensity
from jaxeap.metrics.measures import Measure, evaluate, measures
from jaxeap.metrics.node_entropy import node_output_entropy
from jaxeap.metrics.options import MetricOptions

__all__ = [
    "Contrast",
    "InferenceOptions",
    "LayerIntensity",
    "Measure",
    "MetricContrast",
    "MetricOptions",
    "contrast",
    "evaluate",
    "layer_intensity",
    "measures",
    "node_output_entropy",
]
