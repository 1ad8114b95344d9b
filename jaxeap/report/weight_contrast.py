"""What changed in the weights: a table by layer and by parameter, and a figure by layer."""

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich import box
from rich.table import Table
from rich.text import Text

from jaxeap.report import notation
from jaxeap.report.files import write_markdown_text, write_png, write_text
from jaxeap.report.style import BASE, NEUTRAL, TUNED, bare
from jaxeap.weights.contrast import TensorContrast, WeightContrast, kind_of

DIRECTIONS = 16
"""Of a difference's singular directions, as many are asked for their share of it."""
TABLE, PLOT, NUMBERS = "weights.md", "weights.png", "weights.json"
TITLE = "What changed in the weights from base to tuned"


def weight_table(contrast: WeightContrast) -> Table:
    """One row for all parameters, for each layer and for each kind of parameter."""
    table = Table(title=Text(TITLE), caption=Text("\n".join(weight_notes(contrast))), box=box.SIMPLE_HEAD,
                  title_justify="left", caption_justify="left", title_style="bold", caption_style="dim",
                  padding=(0, 1, 0, 0))  # fmt: skip
    header, *rows = _cells(contrast)
    for name in header:
        table.add_column(name, justify="left" if name == header[0] else "right", vertical="bottom")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def weight_markdown(contrast: WeightContrast) -> str:
    """The table as GitHub-flavoured Markdown."""
    header, *rows = _cells(contrast)
    rule = (":--", *["--:"] * (len(header) - 1))
    lines = [f"| {' | '.join(row)} |" for row in (header, rule, *rows)]
    return (
        "\n\n".join([f"# {TITLE}", "\n".join(lines), "\n".join(f"- {note}" for note in weight_notes(contrast))]) + "\n"
    )


def weight_notes(contrast: WeightContrast) -> list[str]:
    """How to read the columns, and what was not compared."""
    return [
        f"Changed: another number in {contrast.total.dtype}. Steps: of rounding, in that dtype. Relative norm: "
        "Frobenius norm of the difference over that of base.",
        f"Stable rank of the differences of matrices: squared Frobenius over squared spectral norm, median. Top "
        f"{DIRECTIONS}: share of the squared norm in so many singular directions, median; for large matrices from a "
        "random sketch, a lower bound.",
        *contrast.notes,
    ]


def weight_plot(contrast: WeightContrast) -> Figure:
    """By layer: share of entries changed in each reading of the word; relative norm; stable rank of each matrix."""
    layers = contrast.by_layer()
    places = [layer.layer for layer in layers]
    figure = Figure(figsize=(9.0, 6.5), layout="constrained")
    shares, norms, ranks = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 3))
    readings = [(f"another number in {contrast.total.dtype}", [layer.changed_share for layer in layers], BASE, "o")]
    readings += [
        (
            f"> {step} rounding step{'' if step == 1 else 's'}",
            [layer.beyond_shares[index] for layer in layers],
            NEUTRAL,
            marker,
        )
        for index, (step, marker) in enumerate(zip(contrast.steps, "^vD<>" * len(contrast.steps), strict=False))
    ]
    readings.append((f"> {contrast.tolerance:g} away", [layer.tolerance_share for layer in layers], TUNED, "s"))
    for name, values, colour, marker in readings:
        shares.plot(places, values, color=colour, marker=marker, markersize=4, linewidth=1.2, label=name)
    shares.set_ylim(-0.03, 1.03)
    shares.set_ylabel("share of entries", fontsize=9)
    shares.legend(frameon=False, fontsize=8, ncols=len(readings), loc="lower left", bbox_to_anchor=(-0.01, 1.0))
    norms.plot(places, [layer.relative_norm or 0.0 for layer in layers], color=TUNED, marker="o", markersize=4)
    norms.set_ylim(bottom=0)
    norms.set_ylabel("relative norm", fontsize=9)
    kinds = sorted(
        {kind_of(tensor.name) for tensor in contrast.tensors if tensor.layer is not None and tensor.spectrum}
    )
    for index, kind in enumerate(kinds):
        found: dict[int, list[float]] = {}
        for tensor in contrast.tensors:
            rank = None if tensor.spectrum is None else tensor.spectrum.stable_rank
            if tensor.layer is not None and rank is not None and kind_of(tensor.name) == kind:
                found.setdefault(tensor.layer, []).append(rank)
        medians = [float(np.median(of_experts)) for of_experts in found.values()]
        name = kind.removesuffix(".weight").rpartition("{layer}.")[2]
        ranks.plot([*found], medians, marker="osD^v<>Ph*"[index % 10], markersize=4, linewidth=1.0, label=name)
    ranks.set_ylim(bottom=0)
    ranks.set_ylabel("stable rank of\nthe difference", fontsize=9)
    if kinds:
        ranks.legend(frameon=False, fontsize=8, ncols=4)
    ranks.set_xlabel("layer", fontsize=9)
    ranks.xaxis.set_major_locator(MaxNLocator(16, integer=True))
    for axes in (shares, norms, ranks):
        bare(axes)
    figure.suptitle(f"{TITLE}, by layer", fontsize=10)
    return figure


def write_weight_contrast(folder: str | os.PathLike[str], contrast: WeightContrast) -> tuple[Path, ...]:
    """Writes weights.json (every tensor), weights.md and weights.png, and returns their paths."""
    folder = Path(folder)
    content = json.dumps(dataclasses.asdict(contrast), indent=1) + "\n"
    return (
        write_text(folder / NUMBERS, content),
        write_markdown_text(folder / TABLE, weight_markdown(contrast)),
        write_png(folder / PLOT, weight_plot(contrast)),
    )


def _cells(contrast: WeightContrast) -> list[tuple[str, ...]]:
    steps = [f"> {step} step{'' if step == 1 else 's'}" for step in contrast.steps]
    header = ("Parameters", "Entries", "Changed", *steps, f"> {contrast.tolerance:g}", "Relative norm")
    tensors = contrast.tensors
    groups: list[tuple[TensorContrast, Iterable[TensorContrast]]] = [
        (contrast.total, tensors),
        *((layer, [each for each in tensors if each.layer == layer.layer]) for layer in contrast.by_layer()),
        *((kind, [each for each in tensors if kind_of(each.name) == kind.name]) for kind in contrast.by_kind()),
    ]
    rows = [(*_row(group), *_spectrum_cells(members)) for group, members in groups]
    return [(*header, "Stable rank", f"Top {DIRECTIONS}"), *rows]


def _row(group: TensorContrast) -> tuple[str, ...]:
    shares = (group.changed_share, *group.beyond_shares, group.tolerance_share)
    return (group.name, f"{group.entries:,}", *map(notation.share, shares), notation.number(group.relative_norm))


def _spectrum_cells(tensors: Iterable[TensorContrast]) -> tuple[str, str]:
    found = [tensor.spectrum for tensor in tensors if tensor.spectrum is not None]
    known = [each.energy(DIRECTIONS) for each in found if each.exact or len(each.singular_values) >= DIRECTIONS]
    shares = [share for share in known if share is not None]
    ranks = [each.stable_rank for each in found if each.stable_rank is not None]
    return (
        f"{np.median(ranks):.1f}" if ranks else notation.UNDEFINED,
        notation.share(float(np.median(shares))) if shares else notation.UNDEFINED,
    )
