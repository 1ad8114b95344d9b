"""How much |score| flows into, out of and past each layer, by kind of node."""

import dataclasses
from collections.abc import Sequence
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.bootstrap import Interval, check_confidence, percentile_interval, resample_weights
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.node_names import kind_of_node, layer_of_node

Direction = Literal["into", "out_of", "past"]
ALL = "all"


class Flow(NamedTuple):
    """One flow: of all edges into a layer's readers, out of its writers, or from before the layer to behind it.

    `layer` is a number as text, "embed" or "logits"; `kind` is that of the layer's own node, "all" for all together.
    """

    layer: str
    direction: Direction
    kind: str


@dataclasses.dataclass(frozen=True)
class FlowChange:
    """A flow in both models, mean over questions, in the units of the scores; interval as in `layer_intensity`."""

    flow: Flow
    base: float
    tuned: float
    difference: float
    interval: Interval | None


def flow_names(sources: Sequence[str], destinations: Sequence[str]) -> tuple[Flow, ...]:
    """The K flows: into every layer and the logits, out of the embedding and every layer, past each layer."""
    return tuple(_members(_groups(sources), _groups(destinations)))


def flows(scores: npt.NDArray, sources: Sequence[str], destinations: Sequence[str]) -> FloatArray:
    """Sums of |W| over the edges of each flow, for each example.

    Args:
        scores: [N, S, J], zero where there is no edge.
        sources, destinations: S and J names in the graph's order.

    Returns:
        [N, K] float64 in the order of `flow_names`. The flows "into" of kind "all" add up to the sum of |W| of the
        example, and so do those "out_of".
    """
    writers, readers = _groups(sources), _groups(destinations)
    by_writer = np.add.reduceat(np.abs(scores), [first for _, first in writers], axis=1, dtype=np.float64)
    cells = np.add.reduceat(by_writer, [first for _, first in readers], axis=2)
    members = _members(writers, readers).values()
    return np.stack([cells[:, rows][:, :, columns].sum(axis=(1, 2)) for rows, columns in members], axis=1)


def flow_changes(
    names: Sequence[Flow],
    base: FloatArray,
    tuned: FloatArray,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[FlowChange, ...]:
    """Means over questions and paired bootstrap intervals of their difference.

    Args:
        names: K flows.
        base, tuned: [N, K] from `flows`, of the same questions.
        resamples, seed, confidence: as for `contrast`.

    Raises:
        ValueError: arrays of different shapes.
    """
    check_confidence(confidence)
    if base.shape != tuned.shape or base.shape[1:] != (len(names),):
        raise ValueError(f"flows of {len(names)} kinds are arrays [questions, {len(names)}] of one shape, got "
                         f"{base.shape} and {tuned.shape}")  # fmt: skip
    differences = tuned - base
    drawn = [weights @ differences / len(base) for weights in resample_weights(len(base), resamples, seed)]
    resampled = np.concatenate(drawn)
    return tuple(
        FlowChange(
            flow=flow,
            base=float(base[:, place].mean()),
            tuned=float(tuned[:, place].mean()),
            difference=float(differences[:, place].mean()),
            interval=percentile_interval(resampled[:, place], confidence) if len(base) > 1 else None,
        )
        for place, flow in enumerate(names)
    )


Group = tuple[tuple[str, str], int]
Places = tuple[list[int], list[int]]


def _groups(names: Sequence[str]) -> list[Group]:
    """((layer, kind), first position) of each run of nodes of one layer and kind."""

    def key(position: int) -> tuple[str, str]:
        layer = layer_of_node(names[position])
        return (names[position] if layer is None else str(layer)), kind_of_node(names[position])

    return [(of, next(positions)) for of, positions in groupby(range(len(names)), key=key)]


def _members(writers: Sequence[Group], readers: Sequence[Group]) -> dict[Flow, Places]:
    """For each flow the groups of writers and of readers between which it flows."""
    everyone = list(range(len(writers))), list(range(len(readers)))
    members: dict[Flow, Places] = {}
    for direction, groups in (("into", readers), ("out_of", writers)):
        for layer in dict.fromkeys(layer for (layer, _), _ in groups):
            kinds = {kind: [place] for place, ((of, kind), _) in enumerate(groups) if of == layer}
            whole = {ALL: [place for places in kinds.values() for place in places]}
            for kind, places in (whole | (kinds if len(kinds) > 1 else {})).items():
                flow = Flow(layer, direction, kind)  # type: ignore[arg-type]
                members[flow] = (everyone[0], places) if direction == "into" else (places, everyone[1])
    for layer in dict.fromkeys(layer for (layer, _), _ in readers if layer.isdigit()):
        before = [place for place, ((of, _), _) in enumerate(writers) if _depth(of) < int(layer)]
        behind = [place for place, ((of, _), _) in enumerate(readers) if _depth(of) > int(layer)]
        members[Flow(layer, "past", ALL)] = before, behind
    return members


def _depth(layer: str) -> float:
    if layer == "embed":
        return -1
    return int(layer) if layer.isdigit() else np.inf
