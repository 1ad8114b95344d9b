"""The two circuits as layered graphs side by side, edges coloured by what became of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from jaxeap.metrics.circuit_contrast import Change, changes_of
from jaxeap.metrics.node_names import kind_of_node, layer_of_node
from jaxeap.report.style import BASE, NEUTRAL, NON_EDGE, TUNED

BoolArray = npt.NDArray[np.bool_]


class Look(NamedTuple):
    """Colour, dashes and words for a kind of change."""

    colour: str
    dashes: tuple[float, ...] | None
    words: str


LOOKS: Mapping[Change, Look] = {
    "unchanged": Look("#999999", None, "as strong in both"),
    "weaken": Look("#56B4E9", None, "in both, weaker in tuned"),
    "strengthen": Look("#E69F00", None, "in both, stronger in tuned"),
    "vanish": Look(BASE, (3.0, 1.2), "in base alone"),
    "appear": Look(TUNED, (6.0, 1.0), "in tuned alone"),
}
"""Okabe and Ito's colours; dashes tell apart in grey print what is in one circuit alone."""
GAP, LETTER_GAP = 0.2, 0.37
"""Between a node's middle and where edges into it end; wider where the reader's letter stands between."""
READER_SHIFT = {"query": -1.0, "key": 0.0, "value": 1.0}
MOST_DRAWN = 200
"""Edges of each circuit; more are a tangle."""
MOST_NAMED = 16
"""Layers: above so many, nodes are dots and layers are numbered at the side."""


class Place(NamedTuple):
    """Where a node stands; y grows with depth."""

    x: float
    y: float


def circuit_plot(
    base: BoolArray,
    tuned: BoolArray,
    base_strength: npt.NDArray,
    tuned_strength: npt.NDArray,
    sources: Sequence[str],
    destinations: Sequence[str],
) -> Figure:
    """Draws both circuits, from the embedding at the bottom to the logits at the top.

    Width of a line grows with the root of the edge's strength, on one scale for both circuits. Edges into attention
    end at its query (left), key (middle) or value (right).

    Args:
        base, tuned: [S, J] bool, the circuits.
        base_strength, tuned_strength: [S, J], not negative.
        sources, destinations: S and J names.
    """
    writers, readers = _places(sources, destinations)
    layers = 1 + max((layer_of_node(name) or 0 for name in sources), default=0)
    named = layers <= MOST_NAMED and len(sources) <= 2 * layers + 1
    largest = max(float(base_strength[base].max(initial=0)), float(tuned_strength[tuned].max(initial=0))) or 1.0
    changes = changes_of(base_strength, tuned_strength, base, tuned)
    figure = Figure(figsize=(9.0, min(3.0 + 0.9 * layers, 11.5)), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, title, circuit, strength in (
        (panels[0], "Base", base, base_strength),
        (panels[1], "Tuned", tuned, tuned_strength),
    ):
        total = int(circuit.sum())
        shown = f"{total:,} edges" if total <= MOST_DRAWN else f"the {MOST_DRAWN} strongest of {total:,} edges"
        axes.set_title(f"{title}: {shown}", loc="left", fontsize=10, fontweight="bold")
        axes.set_axis_off()
        drawn = _strongest(circuit, strength)
        for change, members in changes.items():
            for row, column in np.argwhere(members & drawn):
                width = 0.5 + 3.5 * np.sqrt(strength[row, column] / largest)
                look = LOOKS[change]
                axes.add_patch(_edge(writers[sources[row]], readers[destinations[column]], float(width), look))
        _draw_nodes(axes, writers, readers, circuit, sources, destinations, named)
    if not named:
        for layer in range(0, layers, -(-layers // 16)):
            panels[0].text(-1.45, 1.5 + 2 * layer, str(layer), fontsize=7, color=NEUTRAL, ha="right", va="center")
    panels[0].set_xlim((-1.2, 1.2) if named else (-1.6, 1.6))
    panels[0].set_ylim(-0.7, 2 * layers + 1.7)
    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            linewidth=2.2,
            dashes=look.dashes or (None, None),
            label=f"{look.words} ({count})",
        )
        for change, look in LOOKS.items()
        if (count := int(changes[change].sum()))
    ]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", frameon=False, fontsize=8, ncols=2, handlelength=3)
    figure.suptitle("The two models' circuits of the strongest edges", fontsize=10)
    return figure


def _strongest(circuit: BoolArray, strength: npt.NDArray) -> BoolArray:
    """The circuit, or its `MOST_DRAWN` strongest edges."""
    order = np.argsort(np.where(circuit, -strength, np.inf), axis=None, kind="stable")
    drawn = np.zeros(circuit.size, bool)
    drawn[order[:MOST_DRAWN]] = True
    return drawn.reshape(circuit.shape) & circuit


def _places(sources: Sequence[str], destinations: Sequence[str]) -> tuple[dict[str, Place], dict[str, Place]]:
    """Writers, and the points at which edges end."""
    heads: dict[int, list[str]] = {}
    for name in sources:
        if kind_of_node(name) == "attention":
            heads.setdefault(layer_of_node(name) or 0, []).append(name)
    layers = len(heads)
    per_layer = max(map(len, heads.values()), default=1)
    writers = {"embed": Place(0.0, 0.0)}
    for layer, names in heads.items():
        spread = [-0.55] if per_layer == 1 else np.linspace(-1.2, 1.2, len(names))
        writers |= {name: Place(float(x), 2 * layer + 1.0) for name, x in zip(names, spread, strict=True)}
        writers[f"m{layer}"] = Place(0.55 if per_layer == 1 else 0.0, 2 * layer + 2.0)
    step = 0.16 if per_layer == 1 else 0.3 * 2.4 / max(per_layer, 2)
    readers: dict[str, Place] = {}
    for name in destinations:
        kind, layer = kind_of_node(name), layer_of_node(name) or 0
        if kind == "logits":
            readers[name] = Place(0.0, 2 * layers + 1.0 - GAP)
        elif kind == "mlp":
            readers[name] = Place(writers[name].x, writers[name].y - GAP)
        else:
            of_layer = [n for n in destinations if kind_of_node(n) == kind and layer_of_node(n) == layer]
            group = np.array_split([writers[head].x for head in heads[layer]], len(of_layer))[of_layer.index(name)]
            readers[name] = Place(float(np.mean(group)) + step * READER_SHIFT[kind], 2 * layer + 1.0 - LETTER_GAP)
    return writers, readers


def _edge(start: Place, end: Place, width: float, look: Look) -> PathPatch:
    """A curve that leaves upwards and arrives from below; long ones bulge to the side, around the nodes between."""
    rise = end.y - start.y
    same_side = start.x * end.x > 0.05 or start.x == end.x
    bulge = 0.16 * max(rise - 1.2, 0.0) * (np.sign(start.x) or 1.0) if same_side else 0.0
    bulge = float(np.clip(bulge, -0.9, 0.9)) * (1.0 if abs(start.x) < 0.6 else 0.4)  # outer ones have room to the edge
    points = [
        (start.x, start.y),
        (start.x + bulge, start.y + 0.45 * rise),
        (end.x + bulge, end.y - 0.45 * rise),
        (end.x, end.y),
    ]
    style = "solid" if look.dashes is None else (0, look.dashes)
    return PathPatch(
        Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]),
        fill=False, edgecolor=look.colour, linewidth=width, linestyle=style, alpha=0.85, capstyle="butt", zorder=1,
    )  # fmt: skip


def _draw_nodes(
    axes: Axes,
    writers: Mapping[str, Place],
    readers: Mapping[str, Place],
    circuit: BoolArray,
    sources: Sequence[str],
    destinations: Sequence[str],
    named: bool,
) -> None:
    """Nodes that the circuit leaves stand out from those that it does not touch."""
    left = {name for name, row in zip(sources, circuit, strict=True) if row.any()}
    entered = {name.partition("<")[0] for name, column in zip(destinations, circuit.T, strict=True) if column.any()}
    top = Place(readers["logits"].x, readers["logits"].y + GAP)
    dots: dict[tuple[bool, str], list[Place]] = {}
    for name, place in {**writers, "logits": top}.items():
        used = name in left or name in entered
        if not named and name not in ("embed", "logits"):
            dots.setdefault((used, "s" if name.startswith("m") else "o"), []).append(place)
            continue
        axes.text(
            place.x, place.y, name, ha="center", va="center", fontsize=8, zorder=3,
            color="black" if used else "#8C8C8C",
            bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "linewidth": 0.9,
                  "edgecolor": "black" if used else NON_EDGE},
        )  # fmt: skip
    size = 200 / max(10, len(set(place.x for place in writers.values())))
    for (used, marker), places in dots.items():
        x, y = zip(*places, strict=True)
        axes.scatter(x, y, s=size if used else size / 3, color="black" if used else "#BFBFBF", zorder=3, marker=marker)
    ends = {name: place for name, place in readers.items() if name.endswith(">")}
    if named:
        for name, place in ends.items():
            axes.text(place.x, place.y + 0.08, name[-2], ha="center", va="center", fontsize=6, color=NEUTRAL, zorder=2)
    else:
        x, y = zip(*ends.values(), strict=True)
        axes.scatter(x, y, s=size / 8, color=NEUTRAL, zorder=2, marker="^", linewidths=0)
