"""Hugging Face safetensors -> Orbax checkpoint that `jaxeap.load_model` restores straight onto a mesh of devices."""

from checkpoint_convert.conversion import convert

__all__ = ["convert"]
