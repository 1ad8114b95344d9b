"""Which edges the page holds: all of them, or of a large graph the strongest and a summary by blocks."""

from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.node_names import layer_of_node
from jaxeap.report.page.content import ScoredEdges
from jaxeap.report.page.embedding import packed

MOST_EDGES = 150_000
"""5 MB of the page."""
MOST_WITH_SIGNS = 30_000
MOST_CELLS = 20_000
"""Cells of a heat map in which single edges can still be seen and pointed at."""
ARRAYS = ("base", "tuned", "low", "high", "q_value")
SIGNED = ("base_signed", "tuned_signed")

Places = npt.NDArray[np.intp]


def strongest(edges: ScoredEdges, most: int = MOST_EDGES) -> Places:
    """Flat places of the edges with the largest mean |score| in either model, in the order of the graph."""
    places = np.flatnonzero(edges.mask)
    strength = np.fmax(edges.values["base"].ravel()[places], edges.values["tuned"].ravel()[places])
    strength = np.nan_to_num(strength, nan=-1.0)
    if len(places) > most:
        places = np.sort(places[np.argpartition(-strength, most)[:most]])
    return places


def edge_data(edges: ScoredEdges, kept: Places) -> dict[str, Any]:
    """The kept edges as parallel arrays, with the names of all nodes."""
    source, destination = np.divmod(kept, len(edges.destinations))
    total = int(edges.mask.sum())
    names = [*ARRAYS, *(SIGNED if len(kept) <= MOST_WITH_SIGNS else ())]
    return {
        "level": edges.level,
        "sources": edges.sources,
        "destinations": edges.destinations,
        "total": total,
        "complete": len(kept) == total,
        "kept_share": {role: _share(edges.values[role], kept) for role in ("base", "tuned")},
        "source": packed(source.astype(np.uint32)),
        "destination": packed(destination.astype(np.uint32)),
        "arrays": {
            name: packed(edges.values[name].ravel()[kept].astype(np.float32)) for name in names if name in edges.values
        },
        "blocks": None if edges.mask.size <= MOST_CELLS else block_data(edges),
    }


def block_data(edges: ScoredEdges) -> dict[str, Any]:
    """The graph with the heads of a layer taken together, as at block level.

    For each pair of blocks: how many edges, the mean of mean |score| over them in either model, and how many edges
    have an interval that leaves 0 out, or a false-discovery rate of at most 5%.
    """
    rows, source_blocks = _grouped([block_of(name) for name in edges.sources])
    columns, destination_blocks = _grouped([block_of(name) for name in edges.destinations])
    shape = len(source_blocks), len(destination_blocks)

    def total(values: npt.NDArray) -> npt.NDArray[np.float64]:
        by_row = np.zeros((shape[0], edges.mask.shape[1]))
        np.add.at(by_row, rows, np.where(edges.mask, np.nan_to_num(values), 0.0))
        summed = np.zeros((shape[1], shape[0]))
        np.add.at(summed, columns, by_row.T)
        return summed.T

    count = total(np.ones(edges.mask.shape))
    with np.errstate(invalid="ignore"):
        base, tuned = (total(edges.values[role]) / np.where(count, count, np.nan) for role in ("base", "tuned"))
    apart = leaves_zero_out(edges)
    discovered = edges.values["q_value"] <= 0.05 if "q_value" in edges.values else np.zeros_like(edges.mask)
    return {
        "sources": source_blocks,
        "destinations": destination_blocks,
        "base": packed(base.astype(np.float32)),
        "tuned": packed(tuned.astype(np.float32)),
        "edges": packed(count.astype(np.uint32)),
        "apart": packed(total(apart).astype(np.uint32)),
        "discovered": packed(total(discovered).astype(np.uint32)),
        "source_layers": [layer_of_node(name) for name in source_blocks],
        "source_block": [int(row) for row in rows],
        "destination_block": [int(column) for column in columns],
    }


def leaves_zero_out(edges: ScoredEdges) -> npt.NDArray[np.bool_]:
    """[S, J]: the difference has an interval, and 0 is not in it."""
    if "low" not in edges.values:
        return np.zeros_like(edges.mask)
    with np.errstate(invalid="ignore"):
        return (edges.values["low"] > 0) | (edges.values["high"] < 0)


def block_of(name: str) -> str:
    """The block-level node that a node belongs to: a3 for a3.h1, a3<k> for a3.kv0<k>, any other is its own."""
    block, dot, rest = name.partition(".")
    return block + (rest[rest.index("<") :] if dot and "<" in rest else "")


def _grouped(names: list[str]) -> tuple[Places, list[str]]:
    """The number of each name's group, and the groups in order of their first member."""
    groups = list(dict.fromkeys(names))
    place = {name: number for number, name in enumerate(groups)}
    return np.array([place[name] for name in names], np.intp), groups


def _share(values: npt.NDArray, kept: Places) -> float | None:
    whole = float(np.nansum(values, dtype=np.float64))
    return float(np.nansum(values.ravel()[kept], dtype=np.float64)) / whole if whole > 0 else None
