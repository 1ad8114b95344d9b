"""How nodes hang together, read off their names alone."""

SHARING = 3
"""Of the tiny model's 6 query heads, 3 share each of its 2 key/value heads."""


def fed_by(destination: str) -> list[str]:
    """Sources that are computed from what a destination reads."""
    node = destination.partition("<")[0]
    if ".kv" in node:
        layer, _, kv_head = node.partition(".kv")
        return [f"{layer}.h{int(kv_head) * SHARING + reader}" for reader in range(SHARING)]
    return [] if node == "logits" else [node]
