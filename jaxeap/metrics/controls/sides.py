"""On which side of 0 an interval lies."""

from collections.abc import Mapping
from typing import Any


def side(interval: Mapping[str, Any] | None) -> int:
    """+1 for an interval above 0, -1 for one below, 0 for one that holds 0 or does not exist."""
    if interval is None or interval["low"] <= 0 <= interval["high"]:
        return 0
    return 1 if interval["low"] > 0 else -1


def said_of(sign: int) -> str:
    """What an interval does, for a sentence."""
    return ("lies below 0", "holds 0", "lies above 0")[sign + 1]
