"""What differences between two models are worth: intervals, permutation tests, effect sizes, false discoveries."""

from jaxeap.metrics.inference.false_discovery import q_values
from jaxeap.metrics.inference.options import InferenceOptions

__all__ = ["InferenceOptions", "q_values"]
