"""What the names of the graph's nodes say."""

import re

SOURCE_KINDS = ("embedding", "attention", "feed_forward")
DESTINATION_KINDS = ("q", "k", "v", "mlp", "logits")

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
        return "embedding"
    match = _parsed(name)
    if match["input"] is not None:
        raise ValueError(f"{name!r} is a destination, not a source")
    return "attention" if match["part"] == "a" else "feed_forward"


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
    return match["input"] or "mlp"


def _parsed(name: str) -> re.Match[str]:
    match = _NODE.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not a node name; expected names like embed, a3, m3, a3.h1, a3.kv0<k>, logits")
    return match
