"""Both circuits as one GraphML graph, for networkx, Gephi, yEd, Cytoscape and igraph.

What a module reads and what it writes are nodes of their own (`a1.kv0<k>`, `a1.h0`), joined by edges of kind
"computes", so that a path from embed to logits is a path of the file, and two edges never join the same two nodes.
A feed-forward layer, which has one reader and one writer of the same name, is one node.
"""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.node_names import kind_of_node, layer_of_node
from jaxeap.report.files import replacing

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
Value = str | bool | int | float
TYPES = {str: "string", bool: "boolean", int: "long", float: "double"}


def write_graphml(
    path: str | os.PathLike[str],
    sources: Sequence[str],
    destinations: Sequence[str],
    listed: npt.NDArray[np.bool_],
    columns: Mapping[str, npt.NDArray],
    feeds: Sequence[tuple[str, str]],
) -> Path:
    """Writes the graph.

    Args:
        path: of the file.
        sources, destinations: S and J names.
        listed: [S, J] bool, the edges to write.
        columns: [S, J] arrays of numbers, truth values or texts, attributes of the edges; NaN is left out.
        feeds: (destination, source) where the source is computed from what the destination reads.

    Returns:
        The path.
    """
    places = np.argwhere(listed)
    names = dict.fromkeys(name for row, column in places for name in (sources[row], destinations[column]))
    joined = [(reader, writer) for reader, writer in feeds if reader != writer and reader in names and writer in names]
    document = _Document()
    for name in names:
        layer = layer_of_node(name)
        document.node(name, {"kind": kind_of_node(name)} | ({} if layer is None else {"layer": layer}))
    for row, column in places:
        values: dict[str, Value] = {name: array[row, column].item() for name, array in columns.items()}
        known = {name: value for name, value in values.items() if not isinstance(value, float) or np.isfinite(value)}
        document.edge(sources[row], destinations[column], {"kind": "residual"} | known)
    for reader, writer in joined:
        document.edge(reader, writer, {"kind": "computes"})
    path = Path(path)
    with replacing(path) as temporary:
        document.write(temporary)
    return path


class _Document:
    """A GraphML file in the making; attributes are declared as they come up."""

    def __init__(self) -> None:
        self.root = ElementTree.Element("graphml", xmlns=NAMESPACE)
        self.graph = ElementTree.Element("graph", id="circuits", edgedefault="directed")
        self.keys: dict[tuple[str, str], str] = {}

    def node(self, name: str, values: Mapping[str, Value]) -> None:
        self._data(ElementTree.SubElement(self.graph, "node", id=name), "node", values)

    def edge(self, source: str, target: str, values: Mapping[str, Value]) -> None:
        self._data(ElementTree.SubElement(self.graph, "edge", source=source, target=target), "edge", values)

    def write(self, path: Path) -> None:
        self.root.append(self.graph)
        ElementTree.indent(self.root)
        ElementTree.ElementTree(self.root).write(path, encoding="utf-8", xml_declaration=True)

    def _data(self, element: ElementTree.Element, owner: str, values: Mapping[str, Value]) -> None:
        for name, value in values.items():
            if (owner, name) not in self.keys:
                key = self.keys[owner, name] = f"{owner}_{name}"
                declared = {"for": owner, "attr.name": name, "attr.type": TYPES[type(value)]}
                ElementTree.SubElement(self.root, "key", {"id": key} | declared)
            data = ElementTree.SubElement(element, "data", key=self.keys[owner, name])
            data.text = str(value).lower() if isinstance(value, bool) else str(value)
