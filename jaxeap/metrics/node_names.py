"""What the names of the graph's nodes say."""

import re

_NODE = re.compile(r"[am](?P<layer>\d+)(\.(h|kv)\d+)?(<[qkv]>)?")


def layer_of_node(name: str) -> int | None:
    """The layer of a source or destination of either graph level; None for `embed` and `logits`.

    Raises:
        ValueError: for a name that no graph level gives.
    """
    if name in ("embed", "logits"):
        return None
    match = _NODE.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not a node name; expected names like embed, a3, m3, a3.h1, a3.kv0<k>, logits")
    return int(match["layer"])
