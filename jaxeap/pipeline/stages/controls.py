"""The controls of the difference, and the verdict on each claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.metrics import Contrast, Measure, MetricOptions, measures
from jaxeap.metrics.bootstrap import resample_weights
from jaxeap.metrics.controls import (
    CELLS,
    CLAIMED_METRICS,
    CLAIMS,
    Evidence,
    bootstrap_interval,
    cell_statistics,
    decompose,
    difference_rows,
    judge,
    metric_row,
    normalised_intensity,
    null_split,
    sensitivity,
)
from jaxeap.metrics.entries import BoolArray, FloatArray
from jaxeap.metrics.paired import largest_magnitudes
from jaxeap.metrics.stream import ScoreStream
from jaxeap.metrics.weighting import weighted_mean
from jaxeap.pipeline.inputs.pair import ROLES
from jaxeap.pipeline.scoring.score_stream import stream_of
from jaxeap.pipeline.settings import SCORING, flat, within
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import (
    CROSS_TEXT,
    GRADIENT_NORMS,
    LOSSES,
    OWN_TEXT,
    Cell,
    cells_of,
    nodes_of,
)
from jaxeap.pipeline.stages.audit import audit_of
from jaxeap.pipeline.stages.beyond_null_pair import beyond_null_pair
from jaxeap.pipeline.stages.contrast import METRICS, contrast_of, metrics_of
from jaxeap.pipeline.stages.divergence import divergences_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.stages.truncations import truncated_folder, truncations_of
from jaxeap.pipeline.stages.weights import weights_of
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.report.audit_notes import reading
from jaxeap.tasks.jsonl import read_jsonl
from jaxeap.tasks.selection import Selection

CONTROLS = "controls.json"
RUN_CONFIG = "config.json"
COMPARED = (*SCORING, "selection")
"""Settings that a null pair must share."""
BOOTSTRAP = ("resamples", "seed", "confidence", "method")

Statistics = dict[Cell, list[FloatArray]]
"""Of each cell, for each metric, [N, ...]."""


def controls_of(folder: Path) -> dict[str, Any]:
    """controls.json of the finished stage's folder."""
    return read_json(folder / CONTROLS)


def control(run: StageRun) -> None:
    """Writes controls.json."""
    selection, compared = selection_of(run.inputs["select"]), contrast_of(run.inputs["contrast"])
    mask, bootstrap = nodes_of(run.inputs["attribute"]).mask, _bootstrap(run, compared)
    memory = int(run.config.contrast.memory * 2**30)
    own = _stream(run, OWN_TEXT[0], selection), _stream(run, OWN_TEXT[1], selection)
    uppers = dict(zip(ROLES, largest_magnitudes(*own, {"": None}, compared.options)[""], strict=True))
    of_model = {role: measures(compared.options, uppers[role]) for role in ROLES}
    crossed = set(cells_of(run.inputs["attribute"])) >= set(CROSS_TEXT)
    statistics: Statistics = {
        cell: cell_statistics(_stream(run, cell, selection), mask, of_model[cell.model], uppers[cell.model], memory)
        for cell in (*OWN_TEXT, *(CROSS_TEXT if crossed else ()))
    }
    content: dict[str, Any] = {
        "bootstrap": bootstrap,
        "headline_bootstrap": {key: getattr(compared, key) for key in BOOTSTRAP},
        "normalised": _normalised(run, of_model["base"], statistics, bootstrap),
        "sensitivity": _sensitivity(run, own, mask, compared.options, selection, bootstrap | {"memory_bytes": memory}),
        "two_by_two": _two_by_two(of_model["base"], statistics, bootstrap),
        "same_text": sum(question.base == question.tuned for question in selection.questions),
        "null_split": _null_splits(run, of_model["base"], statistics, compared),
        "divergence": _divergence(divergences_of(run.inputs["divergence"]), bootstrap),
        "null_pair": _null_pair(run, compared, selection, bootstrap, memory),
        "weights_changed": _weights_changed(run.inputs["weights"]),
    }
    by_level = metrics_of(run.inputs["contrast"])["breakdowns"].get("difficulty", [])
    content["verdicts"] = _verdicts(compared, content, audit_of(run.inputs["audit"]), by_level)
    write_json(run.folder / CONTROLS, content)
    for verdict in content["verdicts"]:
        run.say(f"{verdict['claim']}: {verdict['verdict']} ({'; '.join(verdict['reasons'])})")
        if verdict["levels"] is not None and verdict["levels"]["sure"]:
            run.say(f"  but {verdict['levels']['text']}")


def _bootstrap(run: StageRun, compared: Contrast) -> dict[str, Any]:
    """Of the controls' intervals, which are of the headline's kind."""
    settings = run.config.bootstrap
    return {
        "resamples": run.config.controls.resamples,
        "seed": settings.seed,
        "confidence": settings.confidence,
        "method": compared.method,
    }


def _stream(run: StageRun, cell: Cell, selection: Selection) -> ScoreStream:
    return stream_of(run.inputs["attribute"] / cell.name, selection.question_ids)


def _two_by_two(
    metrics: Sequence[Measure], statistics: Statistics, bootstrap: Mapping[str, Any]
) -> list[dict[str, Any]]:
    if len(statistics) < len(CELLS):
        return []
    return [
        decompose(
            measure, {f"{cell.model}_on_{cell.text}": of[place] for cell, of in statistics.items()}, **bootstrap
        ).to_json()
        for place, measure in enumerate(metrics)
    ]


def _normalised(
    run: StageRun, metrics: Sequence[Measure], statistics: Statistics, bootstrap: Mapping[str, Any]
) -> list[dict[str, Any]]:
    (place,) = (place for place, measure in enumerate(metrics) if measure.name == "intensity")
    scored = run.inputs["attribute"]
    loss, norm = (
        tuple(np.array([record[cell.name] for _, record in read_jsonl(scored / file)]) for cell in OWN_TEXT)
        for file in (LOSSES, GRADIENT_NORMS)
    )
    intensity = statistics[OWN_TEXT[0]][place], statistics[OWN_TEXT[1]][place]
    return normalised_intensity(intensity, (loss[0], loss[1]), (norm[0], norm[1]), **bootstrap)


def _sensitivity(
    run: StageRun,
    own: tuple[ScoreStream, ScoreStream],
    mask: BoolArray,
    options: MetricOptions,
    selection: Selection,
    bootstrap: Mapping[str, Any],
) -> list[dict[str, Any]]:
    found = sensitivity(*own, mask, options, **bootstrap) if run.config.controls.sensitivity else []
    if truncations := truncations_of(run.inputs["truncations"]):
        rows = difference_rows(*own, mask, options, CLAIMED_METRICS, **bootstrap)
        found.append({"setting": "selection.alpha", "value": selection.options.alpha, "default": True, "rows": rows})
    for truncation in truncations:
        alpha = truncation["alpha"]
        base, tuned = (
            stream_of(truncated_folder(run.inputs["truncations"], alpha, cell), selection.question_ids)
            for cell in OWN_TEXT
        )
        rows = difference_rows(base, tuned, mask, options, CLAIMED_METRICS, **bootstrap)
        found.append({"setting": "selection.alpha", "value": alpha, "default": False, "rows": rows})
    return found


def _null_splits(
    run: StageRun, metrics: Sequence[Measure], statistics: Statistics, compared: Contrast
) -> list[dict[str, Any]]:
    settings = run.config.controls
    if not settings.splits:
        return []
    observed = {metric.name: metric.difference for metric in compared.metrics}
    return [
        null_split(
            measure,
            statistics[cell][place],
            observed.get(measure.name),
            splits=settings.splits,
            seed=settings.seed,
            origin=cell.model,
        ).to_json()
        for cell in OWN_TEXT
        for place, measure in enumerate(metrics)
    ]


def _divergence(by_question: Sequence[Mapping[str, Any]], bootstrap: Mapping[str, Any]) -> dict[str, Any]:
    """Mean over questions, each the mean over its counted tokens, with an interval over questions."""
    if not by_question:
        return {"base_text": None, "tuned_text": None, "questions": 0}
    found: dict[str, Any] = {"questions": len(by_question)}
    for text in ("base_text", "tuned_text"):
        values = np.array([each[text] for each in by_question])
        interval = None
        if len(values) > 1:
            draws = [
                weighted_mean(values, weights)
                for weights in resample_weights(len(values), bootstrap["resamples"], bootstrap["seed"])
            ]
            interval = bootstrap_interval(
                float(values.mean()),
                np.concatenate(draws),
                (values.sum() - values) / (len(values) - 1),
                bootstrap["confidence"],
                bootstrap["method"],
            )
        found[text] = {"value": float(values.mean()), "interval": interval}
    return found


def _null_pair(
    run: StageRun, compared: Contrast, selection: Selection, bootstrap: Mapping[str, Any], memory: int
) -> dict[str, Any] | None:
    """The rows of the null pair's contrast, how much more this pair changed, and how far the weights of both moved.

    Raises:
      ValueError: it was made with other choices, so its numbers do not compare.
    """
    if not run.config.controls.null_run:
        return None
    workdir = Path(run.config.controls.null_run)
    null = Contrast.from_json(read_json(workdir / METRICS)["contrast"])
    settings = read_json(workdir / RUN_CONFIG)
    ours = {key: value for key, value in flat(run.config).items() if within(key, COMPARED)}
    ours = {key: list(value) if isinstance(value, tuple) else value for key, value in ours.items()}
    different = [key for key, value in ours.items() if settings.get(key, value) != value]
    different += [
        f"metrics.{name}"
        for name, value in compared.options.to_json().items()
        if null.options.to_json().get(name) != value
    ]
    if different:
        raise ValueError(
            f"config.controls.null_run: {workdir} was made with another {', '.join(different)}; make the null pair's "
            "run with the settings of this one"
        )
    beyond, missing = beyond_null_pair(workdir, run.inputs["attribute"], selection, compared.options, bootstrap, memory)
    if missing:
        run.say(f"the null pair is not held against this pair: {missing} ({workdir})")
    return {
        "tuned": Path(settings["tuned"]).name,
        "beyond": beyond,
        "missing": missing,
        "questions": null.examples,
        "rows": [metric_row(metric, null.confidence) for metric in null.metrics],
        "bootstrap": {key: getattr(null, key) for key in BOOTSTRAP},
        "relative_norm": _relative_norm(workdir / "weights"),
        "relative_norm_of_pair": _relative_norm(run.inputs["weights"]),
    }


def _relative_norm(folder: Path) -> float | None:
    """Norm of the change of all weights over that of base's; None where they were not compared."""
    if (found := weights_of(folder)) is None:
        return None
    base, _, change = (
        sum(column) for column in zip(*(each["squared_norms"] for each in found["tensors"]), strict=True)
    )
    return (change / base) ** 0.5 if base > 0 else None


def _weights_changed(folder: Path) -> float | None:
    """Share of entries that are another number; None where the weights were not compared."""
    tensors = (weights_of(folder) or {"tensors": []})["tensors"]
    entries = sum(tensor["entries"] for tensor in tensors)
    return sum(tensor["changed"] for tensor in tensors) / entries if entries else None


def _verdicts(
    compared: Contrast,
    content: Mapping[str, Any],
    audited: Mapping[str, Any],
    by_level: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    def by_metric(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {row["metric"]: row for row in rows}

    evidence = Evidence(
        headline=by_metric([metric_row(metric, compared.confidence) for metric in compared.metrics]),
        two_by_two=by_metric(content["two_by_two"]),
        null_split=content["null_split"],
        sensitivity=content["sensitivity"],
        normalised=by_metric(content["normalised"]),
        null_pair=None if content["null_pair"] is None else by_metric(content["null_pair"]["beyond"]),
        null_pair_missing=None if content["null_pair"] is None else content["null_pair"]["missing"],
        audit={role: reading(model) for role, model in audited["models"].items()},
        levels={claim.metric: [each for each in by_level if each["metric"] == claim.metric] for claim in CLAIMS},
    )
    return [judge(claim, evidence) for claim in CLAIMS]


CONTROL = Stage(
    name="controls",
    make=control,
    reads=(
        *COMPARED,
        "bootstrap.seed",
        "bootstrap.confidence",
        "controls.resamples",
        "controls.sensitivity",
        "controls.splits",
        "controls.seed",
        "controls.null_run",
    ),
    tuning=("contrast.memory",),
    needs=("select", "attribute", "audit", "truncations", "divergence", "contrast", "weights"),
    version=3,
)
