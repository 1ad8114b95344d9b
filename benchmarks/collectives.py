"""What the devices of a compiled program send each other, read off its text."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import NamedTuple

KINDS = ("all-gather", "all-reduce", "all-to-all", "reduce-scatter", "collective-permute")
_OPERATION = re.compile(rf"= (.*?) ({'|'.join(KINDS)})(?:-start)?\(")
_SHAPE = re.compile(r"[a-z]+\d*\[([\d,]*)\]")


class Collective(NamedTuple):
    """One operation: its kind, and the shape of one of its results on a device."""

    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers that is."""
        return math.prod(self.shape)


def collectives(program: str) -> list[Collective]:
    """All of a compiled program (`compiled.as_text()`), loops' bodies included."""
    return [
        Collective(found[2], tuple(map(int, filter(None, shape.split(",")))))
        for line in program.splitlines()
        if (found := _OPERATION.search(line))
        for shape in _SHAPE.findall(found[1])
    ]


def large_gathers(program: str, limit: int, but: Collection[tuple[int, ...]] = ()) -> list[Collective]:
    """Gathers by which a device gets at least `limit` numbers together, but those into these shapes."""
    gathers = (one for one in collectives(program) if one.kind == "all-gather" and one.shape not in but)
    return [one for one in gathers if one.size >= limit]
