"""How far the scores tell what exact patching finds, on a sample of questions and edges."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.attribution.attribute import attribute
from jaxeap.attribution.audit import Audit, agreement, stratified_sample
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.models.families import read_model_config
from jaxeap.models.model import Decoder
from jaxeap.parallel import hosts
from jaxeap.pipeline.execution.batches import unfinished_batches
from jaxeap.pipeline.execution.out_of_memory import Portion, fewest_rows, in_portions
from jaxeap.pipeline.execution.progress import progress_bar
from jaxeap.pipeline.inputs.pair import load_next, mesh_of, sources_of
from jaxeap.pipeline.null_pair import why_left_out
from jaxeap.pipeline.scoring.mean import read_mean
from jaxeap.pipeline.scoring.score import ablation_of
from jaxeap.pipeline.scoring.scores import read_scores
from jaxeap.pipeline.scoring.texts import SMALLER_TEXTS, Texts
from jaxeap.pipeline.settings import SCORING, SCORING_TUNING
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, Cell
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import first_free, intact_tensors, read_json, write_json, write_tensors
from jaxeap.report.audit_notes import audit_notes
from jaxeap.tasks.selection import Role

AUDIT = "audit.json"
ESTIMATES = ("pearson", "spearman", "slope", "median_relative_error", "sign_agreement")


def audit_of(folder: Path) -> dict[str, Any]:
    """audit.json of the finished stage's folder; no models where the audit was left out."""
    return read_json(folder / AUDIT)


def audit_models(run: StageRun) -> None:
    """Writes audit.json; until it is there, the effects that were measured lie in parts."""
    settings = run.config.audit
    if not settings.edges:
        if hosts.is_first():
            write_json(run.folder / AUDIT, {"models": {}})
        said = why_left_out(run.folder, "config.audit.edges is 0: whether scores are effects is not known")
        run.say(f"audit: left out {said}")
        return
    selection = selection_of(run.inputs["select"])
    graph = EdgeGraph.for_config(
        read_model_config(sources_of(run.config)["base"].model_folder), run.config.attribution.level
    )
    count = min(settings.examples, len(selection.question_ids))
    edges = min(settings.edges, graph.num_edges)
    run.say(
        f"audit: {edges} of {graph.num_edges:,} edges patched exactly on {count} questions with each model, about as "
        f"much as {edges * count:,} forward passes of one question (config.audit.edges, .examples)"
    )
    chosen = np.sort(np.random.default_rng(settings.seed).permutation(len(selection.question_ids))[:count])
    found = {cell.model: _audit_model(run, cell, graph, chosen.tolist()) for cell in OWN_TEXT}
    if not hosts.is_first():
        return
    content = {"models": {role: _record(run, found[role], graph) for role in found}}
    write_json(run.folder / AUDIT, content)
    for role in found:
        shutil.rmtree(run.folder / f"{role}_parts", ignore_errors=True)
    for note in audit_notes(content):
        run.say(note)


def _audit_model(run: StageRun, cell: Cell, graph: EdgeGraph, chosen: Sequence[int]) -> Audit:
    scored = run.inputs["attribute"] / cell.name
    everything = Texts.of(selection_of(run.inputs["select"]), cell.text, run.config.attribution)
    texts = everything.some(chosen)
    scores = read_scores(scored, texts.ids).scores.astype(np.float64)
    settings = run.config.audit
    rng = np.random.default_rng([settings.seed, 1])  # The same for both models, though their strata differ.
    strengths = np.abs(scores).mean(axis=0)
    edges = hosts.array_from_first(lambda: stratified_sample(strengths, graph, settings.edges, rng))
    effects = _effects(run, cell, texts, edges)
    return agreement(edges, scores[:, edges[:, 0], edges[:, 1]], effects, settings.seed)


def _effects(run: StageRun, cell: Cell, texts: Texts, edges: np.ndarray) -> np.ndarray:
    """[B, E] exact effects, from the parts that are there and what is measured now, a part a batch."""
    settings, folder = run.config.attribution, run.folder / f"{cell.model}_parts"
    effects = np.full((len(texts.ids), len(edges)), np.nan, np.float32)
    place_of = {id_: place for place, id_ in enumerate(texts.ids)}

    def fits(tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> bool:
        ids = metadata.get("question_ids", [])
        return "effects" in tensors and tensors["effects"].shape == (len(ids), len(edges)) and set(ids) <= set(place_of)

    def measured() -> np.ndarray:
        for path in sorted(folder.glob("*.safetensors")):
            if part := intact_tensors(path, run.say, fits):
                effects[[place_of[id_] for id_ in part[1]["question_ids"]]] = part[0]["effects"]
        return effects

    effects = hosts.array_from_first(measured).copy()
    if np.isfinite(effects).all():
        return effects
    model: Decoder = load_next(sources_of(run.config)[cell.model], run.config.dtype, mesh_of(run.config))
    reference = read_mean(run.inputs["attribute"] / cell.name, settings)

    def patch_rest(portion: Portion) -> None:
        finished = [bool(np.isfinite(row).all()) for row in effects]
        todo = unfinished_batches([stop for _, stop in texts.counted], finished, portion.rows)
        with progress_bar(
            run.console, f"{cell.model} model: patching edges", total=sum(len(places.real) for places in todo)
        ) as advance:
            for places in todo:
                patched = attribute(
                    model,
                    texts.batch(places.filled),
                    method="exact",
                    level=settings.level,
                    ablation=ablation_of(settings),
                    reference=reference,
                    edges=edges,
                )
                rows = hosts.to_hosts(patched.scores)[: len(places.real), edges[:, 0], edges[:, 1]]
                ids = [texts.ids[place] for place in places.real]
                _require_finite(rows, ids, cell.model)
                if hosts.is_first():
                    write_tensors(first_free(folder, ".safetensors"), {"effects": rows}, {"question_ids": ids})
                effects[places.real] = rows
                advance(len(places.real))

    asked = Portion(min(settings.batch_size, len(texts.ids)))
    remedy = f"{SMALLER_TEXTS}, or leave the audit out with --config.audit.edges=0"
    in_portions(run, "patching edges", asked, patch_rest, least=Portion(fewest_rows(model)), remedy=remedy)
    return effects


def _require_finite(effects: np.ndarray, ids: Sequence[str], role: Role) -> None:
    if not np.isfinite(effects).all():
        worst = ids[int(np.argmin(np.isfinite(effects).all(axis=1)))]
        raise ValueError(
            f"{role} model: exact patching gave a loss that is not finite on question {worst!r}; run with "
            "--config.dtype=float32, or --config.audit.edges=0 to leave the audit out"
        )


def _record(run: StageRun, audited: Audit, graph: EdgeGraph) -> dict[str, Any]:
    estimates = {name: getattr(audited, name) for name in ESTIMATES}
    points = np.stack([audited.scores.mean(axis=0), audited.effects.mean(axis=0)], axis=1)
    return {
        **{name: estimate.value for name, estimate in estimates.items()},
        "intervals": {name: estimate.interval for name, estimate in estimates.items()},
        "confidence": audited.confidence,
        "edges": len(audited.edges),
        "examples": len(audited.scores),
        "method": run.config.attribution.method,
        "ablation": run.config.attribution.ablation,
        "points": points.tolist(),
        "names": [[graph.sources[source], graph.destinations[destination]] for source, destination in audited.edges],
    }


AUDIT_STAGE = Stage(
    name="audit",
    make=audit_models,
    reads=("base", "tuned", "dtype", *SCORING, "audit"),
    tuning=(*SCORING_TUNING, "adapter_base"),
    needs=("select", "attribute"),
    on_all_hosts=True,
)
