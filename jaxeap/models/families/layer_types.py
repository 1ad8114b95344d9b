"""Which layers see all positions and which only a window, as `layer_types` lists them."""

from __future__ import annotations

from jaxeap.models.families.family import ConfigReader

SLIDES = {"full_attention": False, "sliding_attention": True}


def read_slides(reader: ConfigReader, default: list[bool]) -> list[bool]:
    """Whether each layer sees a window only: `layer_types`, or `default` where the file does not list them."""
    kinds = reader.get("layer_types")
    if kinds is None:
        return default
    if len(kinds) != len(default) or not set(kinds) <= set(SLIDES):
        raise reader.unsupported("layer_types", kinds, f"one of {sorted(SLIDES)} for each of {len(default)} layers")
    return [SLIDES[kind] for kind in kinds]
