"""Hugging Face safetensors -> Orbax checkpoint that `jaxeap.load_model` restores straight onto a mesh, and back."""

from checkpoint_convert.conversion import convert
from checkpoint_convert.to_hugging_face import to_hugging_face

__all__ = ["convert", "to_hugging_face"]
