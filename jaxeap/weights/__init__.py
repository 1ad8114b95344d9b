"""What fine-tuning changed in the weights themselves."""

from jaxeap.weights.contrast import TensorContrast, WeightContrast, contrast_weights
from jaxeap.weights.spectrum import Spectrum

__all__ = ["Spectrum", "TensorContrast", "WeightContrast", "contrast_weights"]
