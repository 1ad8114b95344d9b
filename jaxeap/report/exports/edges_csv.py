"""Every edge of the graph as a row of CSV."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.node_names import kind_of_node, layer_of_node
from jaxeap.report.files import replacing

NODE_COLUMNS = ("source", "destination", "source_layer", "destination_layer", "source_kind", "destination_kind")


def write_edges_csv(
    path: str | os.PathLike[str],
    sources: Sequence[str],
    destinations: Sequence[str],
    mask: npt.NDArray[np.bool_],
    columns: Mapping[str, npt.NDArray],
) -> Path:
    """Writes a header and a row an edge, row by row, in the order of the matrix.

    Layers are empty for embed and logits, numbers have nine significant digits (all that float32 has), truth values are
    1 and 0, and what is not a number is empty.

    Args:
        path: of the file.
        sources, destinations: S and J names.
        mask: [S, J] bool.
        columns: further columns, by name: [S, J] arrays of numbers, truth values or texts.
    """
    path = Path(path)
    of_sources, of_destinations = ([_layer_and_kind(name) for name in names] for names in (sources, destinations))
    arrays = list(columns.values())
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*NODE_COLUMNS, *columns))
        for row, source in enumerate(sources):
            places = np.flatnonzero(mask[row]).tolist()
            values = zip(*(map(_cell, array[row, places].tolist()) for array in arrays), strict=True)
            source_layer, source_kind = of_sources[row]
            for place, cells in zip(places, values if arrays else [()] * len(places), strict=True):
                layer, kind = of_destinations[place]
                writer.writerow((source, destinations[place], source_layer, layer, source_kind, kind, *cells))
    return path


def _layer_and_kind(name: str) -> tuple[str, str]:
    layer = layer_of_node(name)
    return "" if layer is None else str(layer), kind_of_node(name)


def _cell(value: float | bool | str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.9g}" if np.isfinite(value) else ""
