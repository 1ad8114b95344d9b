"""What the page shows, gathered from the folders of the finished stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.pipeline.execution.environment import environment
from jaxeap.pipeline.provenance import hashes_of
from jaxeap.pipeline.scoring.scores import iterate_scores
from jaxeap.pipeline.stage import StageRun, read_manifest
from jaxeap.pipeline.stages.attribute import GRAPH, Cell, nodes_of
from jaxeap.pipeline.stages.audit import audit_of
from jaxeap.pipeline.stages.circuits import circuits_of
from jaxeap.pipeline.stages.contrast import contrast_of, edges_of, metrics_of
from jaxeap.pipeline.stages.controls import controls_of
from jaxeap.pipeline.stages.correlates import correlates_of
from jaxeap.pipeline.stages.respond import questions_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.stages.weights import weights_of
from jaxeap.pipeline.storage.artifacts import read_json
from jaxeap.report.page import Content, Models, Questions, ScoredEdges
from jaxeap.report.table import notes


def page_content(run: StageRun) -> Content:
    """The content for a run of the stage `report`, whose inputs are all stages before it."""
    inputs = run.inputs
    return Content(
        models=Models(*(short_name(run.config[role]) for role in ("base", "tuned"))),
        metrics=metrics_of(inputs["contrast"]),
        choices=notes(contrast_of(inputs["contrast"])),
        edges=_edges(inputs),
        questions=_questions(inputs),
        settings=settings_of(inputs),
        hashes=hashes_of(inputs),
        stages=stages_of(inputs),
        environment=environment(),
        controls=controls_of(inputs["controls"]),
        audit=audit_of(inputs["audit"]),
        circuits=circuits_of(inputs["circuits"]),
        correlates=correlates_of(inputs["correlates"]),
        weights=weights_of(inputs["weights"]),
    )


def short_name(folder: str) -> str:
    """The end of a path: enough to know the model by, without telling where it lies."""
    path = Path(folder)
    return "/".join(part for part in path.parts[-2:] if part != path.anchor)


def settings_of(inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Every setting that a stage's result depends on; models and questions by the hash of their content."""
    found: dict[str, Any] = {}
    for manifest in filter(None, map(read_manifest, inputs.values())):
        found |= manifest.settings
    return dict(sorted(found.items(), key=lambda item: (item[0] not in ("base", "tuned", "questions"), item[0])))


def stages_of(inputs: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Name, seconds, number of files and fingerprint of every stage that was read."""
    manifests = filter(None, map(read_manifest, inputs.values()))
    return [
        {
            "stage": manifest.stage,
            "seconds": manifest.seconds,
            "files": len(manifest.files),
            "fingerprint": manifest.fingerprint,
        }
        for manifest in manifests
    ]


def _edges(inputs: Mapping[str, Path]) -> ScoredEdges | None:
    if (found := edges_of(inputs["contrast"])) is None:
        return None
    nodes = nodes_of(inputs["attribute"])
    level = read_json(inputs["attribute"] / GRAPH)["level"]
    return ScoredEdges(level, nodes.sources, nodes.destinations, nodes.mask, found)


def _questions(inputs: Mapping[str, Path]) -> Questions:
    ids = selection_of(inputs["select"]).question_ids
    by_id = {question.id: question for question in questions_of(inputs["respond"])}
    base, tuned = (inputs["attribute"] / Cell(role, role).name for role in ("base", "tuned"))
    return Questions(
        ids=tuple(ids),
        texts=tuple(by_id[id_].question for id_ in ids),
        levels=tuple(by_id[id_].level for id_ in ids),
        base=lambda: _shards(base),
        tuned=lambda: _shards(tuned),
    )


def _shards(folder: Path) -> Iterator[tuple[Sequence[str], np.ndarray]]:
    for shard in iterate_scores(folder):
        yield shard.question_ids, shard.scores
