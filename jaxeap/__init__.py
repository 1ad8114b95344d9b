"""jaxeap: what did RL fine-tuning change inside a language model? Edge attribution patching in JAX."""

from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder

__all__ = ["Decoder", "load_model"]
