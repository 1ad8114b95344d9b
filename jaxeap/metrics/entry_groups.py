"""Groups of matrix entries: the edges of a layer, of a kind of destination, of a kind of source, or any other."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import BoolArray
from jaxeap.metrics.node_names import (
    DESTINATION_KINDS,
    SOURCE_KINDS,
    destination_kind,
    layer_of_node,
    source_kind,
)

LOGITS = "logits"
BY_ENTRIES = ("layer", "destination_kind", "source_kind")


@dataclasses.dataclass(frozen=True, eq=False)
class EntryGroup:
    """A part of the [S, J] matrix as a smaller graph of its own.

    Attributes:
        rows, columns: sources and destinations that have an entry in the group.
        mask: [len(rows), len(columns)] bool, the group's edges.
    """

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    mask: BoolArray

    @classmethod
    def of(cls, edges: BoolArray) -> "EntryGroup":
        """From the edges [S, J] of the group, which must have one at least."""
        if not edges.any():
            raise ValueError("a group of entries must hold at least one edge")
        rows, columns = np.flatnonzero(edges.any(axis=1)), np.flatnonzero(edges.any(axis=0))
        return cls(rows, columns, edges[np.ix_(rows, columns)])

    def take(self, scores: npt.NDArray) -> npt.NDArray:
        """Scores [n, S, J] -> [n, len(rows), len(columns)], zero outside the group."""
        part = scores if self._is_whole(scores) else scores[:, self.rows[:, None], self.columns]
        return part if part is scores and self.mask.all() else part * self.mask

    def _is_whole(self, scores: npt.NDArray) -> bool:
        return self.mask.shape == scores.shape[1:]


def entry_groups(
    mask: BoolArray, sources: Sequence[str], destinations: Sequence[str], kinds: Iterable[str] = BY_ENTRIES
) -> dict[str, dict[str, BoolArray]]:
    """The usual groups: {"layer": {"0": edges [S, J], ...}, ...}; groups without an edge are left out.

    Args:
        mask: [S, J] bool.
        sources, destinations: node names.
        kinds: "layer" (of the destination, logits apart), "destination_kind", "source_kind".

    Raises:
        ValueError: names and mask do not fit, a name cannot be read, or a kind is unknown.
    """
    if mask.shape != (len(sources), len(destinations)):
        raise ValueError(f"{len(sources)} source and {len(destinations)} destination names for a mask {mask.shape}")
    layers = [layer_of_node(name) for name in destinations]
    numbers = sorted({layer for layer in layers if layer is not None})
    found: dict[str, dict[str, BoolArray]] = {}
    for kind in kinds:
        if kind == "layer":
            columns = {str(number): [layer == number for layer in layers] for number in numbers}
            marks = columns | {LOGITS: [layer is None for layer in layers]}
            groups = {name: mask & np.array(mark) for name, mark in marks.items()}
        elif kind == "destination_kind":
            reads = np.array([destination_kind(name) for name in destinations])
            groups = {name: mask & (reads == name) for name in DESTINATION_KINDS}
        elif kind == "source_kind":
            writes = np.array([source_kind(name) for name in sources])
            groups = {name: mask & (writes == name)[:, None] for name in SOURCE_KINDS}
        else:
            raise ValueError(f"there is no breakdown by {kind!r}; choose from {', '.join(BY_ENTRIES)}")
        found[kind] = {name: edges for name, edges in groups.items() if edges.any()}
    return found


def example_groups(labels: Sequence[str]) -> Mapping[str, npt.NDArray[np.intp]]:
    """Places of the examples of each label ("" is left out), labels in their order of first appearance."""
    marks = np.array(labels)
    return {label: np.flatnonzero(marks == label) for label in dict.fromkeys(labels) if label}
