"""Stage 5: the metrics of both models, and what changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jaxeap.metrics import Contrast, LayerIntensity, MetricOptions, contrast, layer_intensity
from jaxeap.pipeline.artifacts import read_json, write_json
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, nodes_of, scores_of
from jaxeap.pipeline.stages.grade import summary_of
from jaxeap.pipeline.stages.respond import vocabulary_of
from jaxeap.pipeline.stages.select import selection_of

METRICS = "metrics.json"


def metrics_of(folder: Path) -> dict[str, Any]:
    """metrics.json of the finished stage's folder."""
    return read_json(folder / METRICS)


def contrast_of(folder: Path) -> Contrast:
    """The contrast from the finished stage's folder."""
    return Contrast.from_json(metrics_of(folder)["contrast"])


def layers_of(folder: Path) -> tuple[LayerIntensity, ...]:
    """Intensity layer by layer, from the finished stage's folder."""
    return tuple(LayerIntensity.from_json(row) for row in metrics_of(folder)["layer_intensity"])


def contrast_models(run: StageRun) -> None:
    """Writes metrics.json."""
    selection = selection_of(run.inputs["select"])
    scored = run.inputs["attribute"]
    nodes = nodes_of(scored)
    base, tuned = (scores_of(scored, cell, selection.question_ids) for cell in OWN_TEXT)
    bootstrap = dict(run.config.bootstrap)
    compared = contrast(base.scores, tuned.scores, nodes.mask, MetricOptions(**run.config.metrics), **bootstrap)
    layers = layer_intensity(base.scores, tuned.scores, nodes.mask, nodes.destinations, **bootstrap)
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
            "loss": {"base": float(base.loss.mean(dtype=float)), "tuned": float(tuned.loss.mean(dtype=float))},
            "contrast": compared.to_json(),
            "layer_intensity": [layer.to_json() for layer in layers],
        },
    )


CONTRAST = Stage(
    name="contrast",
    make=contrast_models,
    reads=("metrics", "bootstrap"),
    needs=("respond", "grade", "select", "attribute"),
    version=2,
)
