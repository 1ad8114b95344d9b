"""The metrics of both models, and what changed: as a whole, by parts, and edge by edge."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.metrics import Contrast, InferenceOptions, LayerIntensity, MetricOptions, layer_intensity
from jaxeap.metrics.breakdown import BreakdownRow, break_down_entries, break_down_examples, break_down_pairs
from jaxeap.metrics.contrast import check_pair, contrast_of_pairs, headline_pairs
from jaxeap.metrics.edges import edge_contrast
from jaxeap.metrics.enough import enough_questions
from jaxeap.metrics.entry_groups import BY_ENTRIES, entry_groups, example_groups
from jaxeap.metrics.inference import mean_interval
from jaxeap.metrics.paired import PairedStatistics
from jaxeap.metrics.stream import ScoreStream
from jaxeap.pipeline.execution.progress import progress_bar
from jaxeap.pipeline.scoring.score_stream import stream_of
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import LOSSES, OWN_TEXT, Nodes, nodes_of
from jaxeap.pipeline.stages.bands import band_folder
from jaxeap.pipeline.stages.grade import summary_of
from jaxeap.pipeline.stages.respond import questions_of, vocabulary_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json, read_tensors, write_json, write_tensors
from jaxeap.tasks.jsonl import read_jsonl

METRICS = "metrics.json"
EDGES = "edges.safetensors"
BREAKDOWN_RESAMPLES = 2000
"""At most, and permutations likewise: a hundred rows are made of them, and need not be as steady as the headline."""


def metrics_of(folder: Path) -> dict[str, Any]:
    """metrics.json of the finished stage's folder."""
    return read_json(folder / METRICS)


def contrast_of(folder: Path) -> Contrast:
    """The contrast from the finished stage's folder."""
    return Contrast.from_json(metrics_of(folder)["contrast"])


def layers_of(folder: Path) -> tuple[LayerIntensity, ...]:
    """Intensity layer by layer, from the finished stage's folder."""
    return tuple(LayerIntensity.from_json(row) for row in metrics_of(folder)["layer_intensity"])


def edges_of(folder: Path) -> dict[str, np.ndarray] | None:
    """Every edge's row of the comparison, see `EdgeContrast`: [S, J] float32 each; None where they were left out."""
    return read_tensors(folder / EDGES)[0] if (folder / EDGES).is_file() else None


def contrast_models(run: StageRun) -> None:
    """Writes metrics.json and, unless they are left out, edges.safetensors."""
    ids, scored = selection_of(run.inputs["select"]).question_ids, run.inputs["attribute"]
    nodes, settings = nodes_of(scored), run.config.contrast
    base, tuned = (stream_of(scored / cell.name, ids) for cell in OWN_TEXT)
    options, bootstrap = MetricOptions(**run.config.metrics), dict(run.config.bootstrap)
    inference = InferenceOptions(**bootstrap, method=settings.intervals, permutations=settings.permutations)
    memory = int(settings.memory * 2**30)
    with run.console.status("comparing the models"):
        check_pair(base, tuned, nodes.mask)
        pairs = headline_pairs(base, tuned, nodes.mask, options, memory)
        compared = contrast_of_pairs(pairs, options, inference)
        enough = enough_questions(pairs, inference, settings.half_width)
        layers = layer_intensity(base, tuned, nodes.mask, nodes.destinations, **bootstrap, method=settings.intervals)
    with run.console.status("comparing layers, kinds of nodes and levels of difficulty"):
        fewer = dataclasses.replace(
            inference,
            resamples=min(inference.resamples, BREAKDOWN_RESAMPLES),
            permutations=min(inference.permutations, BREAKDOWN_RESAMPLES),
        )
        groups = entry_groups(
            nodes.mask, nodes.sources, nodes.destinations, [k for k in BY_ENTRIES if k in settings.breakdowns]
        )
        breakdowns = break_down_entries(base, tuned, nodes.mask, groups, options, fewer, memory) if groups else {}
        if "difficulty" in settings.breakdowns:
            breakdowns["difficulty"] = break_down_examples(pairs, _by_level(run, ids), fewer)
        if (bands := settings.position_bands) > 1:
            breakdowns["position"] = break_down_pairs(_by_band(run, ids, bands, nodes, options, memory), fewer)
    if settings.edges:
        _write_edges(run, base, tuned, nodes, memory // 4)
    _write_metrics(run, compared, layers, breakdowns, {name: found.to_json() for name, found in enough.items()})


def _by_level(run: StageRun, ids: list[str]) -> dict[str, np.ndarray]:
    level = {question.id: question.level for question in questions_of(run.inputs["respond"])}
    return dict(example_groups([level[id_] for id_ in ids]))


def _by_band(
    run: StageRun, ids: Sequence[str], bands: int, nodes: Nodes, options: MetricOptions, memory: int
) -> dict[str, list[PairedStatistics]]:
    scored = run.inputs["bands"]
    found = {}
    for band in range(1, bands + 1):
        base, tuned = (stream_of(band_folder(scored, band, cell), ids) for cell in OWN_TEXT)
        found[f"{band} of {bands}"] = headline_pairs(base, tuned, nodes.mask, options, memory)
    return found


def _write_edges(run: StageRun, base: ScoreStream, tuned: ScoreStream, nodes: Nodes, memory: int) -> None:
    confidence = run.config.bootstrap.confidence
    with progress_bar(run.console, "comparing edges", total=int(nodes.mask.sum())) as advance:
        edges = edge_contrast(base, tuned, nodes.mask, confidence=confidence, memory_bytes=memory, advance=advance)
    notes = {
        "confidence": confidence,
        "interval": mean_interval.METHOD,
        "p_value": "sign flip by question, saddlepoint",
    }
    write_tensors(run.folder / EDGES, edges.arrays(), notes)
    changed = int((edges.q_value[nodes.mask] <= 0.05).sum())
    run.say(f"{changed} of {int(nodes.mask.sum())} edges changed their mean strength (false discovery rate 5%)")


def _write_metrics(
    run: StageRun,
    compared: Contrast,
    layers: tuple[LayerIntensity, ...],
    breakdowns: dict[str, list[BreakdownRow]],
    enough: dict[str, Any],
) -> None:
    selection = selection_of(run.inputs["select"])
    losses = [record for _, record in read_jsonl(run.inputs["attribute"] / LOSSES)]
    write_json(
        run.folder / METRICS,
        {
            "vocabulary": dataclasses.asdict(vocabulary_of(run.inputs["respond"])),
            "answers": summary_of(run.inputs["grade"]),
            "selection": {
                "account": [count._asdict() for count in selection.account],
                "reference_length": selection.reference_length,
                "cut_length": selection.cut_length,
            },
            "loss": {cell.model: float(np.mean([record[cell.name] for record in losses])) for cell in OWN_TEXT},
            "contrast": compared.to_json(),
            "layer_intensity": [layer.to_json() for layer in layers],
            "breakdowns": {
                kind: [row.to_json(compared.confidence) for row in rows] for kind, rows in breakdowns.items()
            },
            "enough_questions": enough,
        },
    )


CONTRAST = Stage(
    name="contrast",
    make=contrast_models,
    reads=(
        "metrics",
        "bootstrap",
        "contrast.intervals",
        "contrast.permutations",
        "contrast.breakdowns",
        "contrast.edges",
        "contrast.half_width",
        "contrast.position_bands",
    ),
    tuning=("contrast.memory",),
    needs=("respond", "grade", "select", "attribute", "bands"),
    version=4,
)
