"""What the names of the graph's nodes say."""

import re

SOURCE_KINDS = ("embed", "attention", "mlp")
DESTINATION_KINDS = ("query", "key", "value", "mlp", "logits")
"""The words of `jaxeap.attribution.graph.EdgeGraph`."""
_READERS = {"q": "query", "k": "key", "v": "value", None: "mlp"}

_NODE = re.compile(r"(?P<part>[am])(?P<layer>\d+)(\.(h|kv)\d+)?(<(?P<input>[qkv])>)?")


def layer_of_node(name: str) -> int | None:
    """The layer of a source or destination of either graph level; None for `embed` and `logits`.

    Raises:
        ValueError: for a name that no graph level gives.
    """
    if name in ("embed", "logits"):
        return None
    return int(_parsed(name)["layer"])


def source_kind(name: str) -> str:
    """One of `SOURCE_KINDS`: what writes.

    Raises:
        ValueError: for a name that no graph level gives to a source.
    """
    if name == "embed":
        return "embed"
    match = _parsed(name)
    if match["input"] is not None:
        raise ValueError(f"{name!r} is a destination, not a source")
    return "attention" if match["part"] == "a" else "mlp"


def destination_kind(name: str) -> str:
    """One of `DESTINATION_KINDS`: what reads.

    Raises:
        ValueError: for a name that no graph level gives to a destination.
    """
    if name == "logits":
        return "logits"
    match = _parsed(name)
    if (match["part"] == "a") != (match["input"] is not None):
        raise ValueError(f"{name!r} is a source, not a destination")
    return _READERS[match["input"]]


def kind_of_node(name: str) -> str:
    """What a source or destination is: one of `SOURCE_KINDS` or `DESTINATION_KINDS`.

    Raises:
        ValueError: for a name that no graph level gives.
    """
    return destination_kind(name) if name.endswith(">") or name == "logits" else source_kind(name)


def _parsed(name: str) -> re.Match[str]:
    match = _NODE.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not a node name; expected names like embed, a3, m3, a3.h1, a3.kv0<k>, logits")
    return match
