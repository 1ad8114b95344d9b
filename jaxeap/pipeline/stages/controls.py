"""The controls of the difference, and the verdict on each claim."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.metrics import Contrast, Measure, MetricOptions, measures
from jaxeap.metrics.bootstrap import percentile_interval, resample_weights
from jaxeap.metrics.complexity import histogram_uppers
from jaxeap.metrics.controls import (
    CELLS,
    CLAIMED_METRICS,
    CLAIMS,
    Evidence,
    cell_statistics,
    decompose,
    difference_rows,
    interval_json,
    judge,
    metric_row,
    normalised_intensity,
    null_split,
    sensitivity,
)
from jaxeap.metrics.entries import BoolArray, FloatArray
from jaxeap.metrics.weighting import weighted_mean
from jaxeap.pipeline.artifacts import read_json, write_json
from jaxeap.pipeline.pair import ROLES
from jaxeap.pipeline.scores import Scores
from jaxeap.pipeline.settings import SCORING
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import CROSS_TEXT, OWN_TEXT, Cell, cells_of, nodes_of, scores_of
from jaxeap.pipeline.stages.audit import audit_of
from jaxeap.pipeline.stages.contrast import METRICS, contrast_of
from jaxeap.pipeline.stages.divergence import divergences_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.stages.truncations import truncated_scores_of, truncations_of
from jaxeap.report.audit_notes import reading
from jaxeap.tasks.selection import Role, Selection

CONTROLS = "controls.json"
RUN_CONFIG = "config.json"

Statistics = dict[Cell, list[FloatArray]]
"""Of each cell, for each metric, [N, ...]."""


def controls_of(folder: Path) -> dict[str, Any]:
    """controls.json of the finished stage's folder."""
    return read_json(folder / CONTROLS)


def control(run: StageRun) -> None:
    """Writes controls.json."""
    selection, compared = selection_of(run.inputs["select"]), contrast_of(run.inputs["contrast"])
    mask, bootstrap = nodes_of(run.inputs["attribute"]).mask, _bootstrap(run)
    own = {cell.model: _scores(run, cell, selection) for cell in OWN_TEXT}
    uppers = dict(
        zip(own, histogram_uppers([each.scores for each in own.values()], compared.options.bin_range), strict=True)
    )
    of_model = {role: measures(compared.options, uppers[role]) for role in ROLES}
    statistics: Statistics = {
        cell: cell_statistics(own[cell.model].scores, mask, of_model[cell.model], uppers[cell.model])
        for cell in OWN_TEXT
    }
    content: dict[str, Any] = {
        "normalised": _normalised(of_model["base"], statistics, own, bootstrap),
        "sensitivity": _sensitivity(run, own, mask, compared.options, selection, bootstrap),
    }
    own.clear()  # Cells are held one at a time from here on.
    if set(cells_of(run.inputs["attribute"])) >= set(CROSS_TEXT):
        for cell in CROSS_TEXT:
            scores = _scores(run, cell, selection).scores
            statistics[cell] = cell_statistics(scores, mask, of_model[cell.model], uppers[cell.model])
    content |= {
        "two_by_two": _two_by_two(of_model["base"], statistics, bootstrap),
        "same_text": sum(question.base == question.tuned for question in selection.questions),
        "null_split": _null_splits(run, of_model["base"], statistics, compared),
        "divergence": _divergence(divergences_of(run.inputs["divergence"]), bootstrap),
        "null_pair": _null_pair(run, compared),
        "weights_changed": _weights_changed(run.inputs["weights"]),
    }
    content["verdicts"] = _verdicts(compared, content, audit_of(run.inputs["audit"]))
    write_json(run.folder / CONTROLS, content)
    for verdict in content["verdicts"]:
        run.say(f"{verdict['claim']}: {verdict['verdict']} ({'; '.join(verdict['reasons'])})")


def _bootstrap(run: StageRun) -> dict[str, Any]:
    settings = run.config.bootstrap
    return {
        "resamples": run.config.controls.resamples,
        "seed": settings.seed,
        "confidence": settings.confidence,
    }


def _scores(run: StageRun, cell: Cell, selection: Selection) -> Scores:
    return scores_of(run.inputs["attribute"], cell, selection.question_ids)


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
    metrics: Sequence[Measure], statistics: Statistics, own: Mapping[Role, Scores], bootstrap: Mapping[str, Any]
) -> list[dict[str, Any]]:
    (place,) = (place for place, measure in enumerate(metrics) if measure.name == "intensity")
    base, tuned = own["base"], own["tuned"]
    return normalised_intensity(
        (statistics[OWN_TEXT[0]][place], statistics[OWN_TEXT[1]][place]),
        (base.loss.astype(np.float64), tuned.loss.astype(np.float64)),
        (base.gradient_norm.astype(np.float64), tuned.gradient_norm.astype(np.float64)),
        **bootstrap,
    )


def _sensitivity(
    run: StageRun,
    own: Mapping[Role, Scores],
    mask: BoolArray,
    options: MetricOptions,
    selection: Selection,
    bootstrap: Mapping[str, Any],
) -> list[dict[str, Any]]:
    base, tuned = own["base"].scores, own["tuned"].scores
    found = sensitivity(base, tuned, mask, options, **bootstrap) if run.config.controls.sensitivity else []
    if truncations := truncations_of(run.inputs["truncations"]):
        rows = difference_rows(base, tuned, mask, options, CLAIMED_METRICS, **bootstrap)
        found.append({"setting": "selection.alpha", "value": selection.options.alpha, "default": True, "rows": rows})
    for truncation in truncations:
        alpha = truncation["alpha"]
        base, tuned = (
            truncated_scores_of(run.inputs["truncations"], alpha, cell, selection.question_ids).scores
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
    """Mean over questions, each the mean over its counted tokens, with a percentile interval over questions."""
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
            interval = percentile_interval(np.concatenate(draws), bootstrap["confidence"])
        found[text] = {"value": float(values.mean()), "interval": interval_json(interval, bootstrap["confidence"])}
    return found


def _null_pair(run: StageRun, compared: Contrast) -> list[dict[str, Any]] | None:
    """The rows of the null pair's contrast.

    Raises:
      ValueError: it was made with other choices, so its numbers do not compare.
    """
    if not run.config.controls.null_run:
        return None
    workdir = Path(run.config.controls.null_run)
    null = Contrast.from_json(read_json(workdir / METRICS)["contrast"])
    settings = read_json(workdir / RUN_CONFIG)
    ours = {key: _by_key(run.config, key) for key in SCORING}
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
    return [metric_row(metric, null.confidence) for metric in null.metrics]


def _by_key(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = config[part]
    return config


def _weights_changed(folder: Path) -> float | None:
    """Share of entries that are another number; None where the weights were not compared."""
    path = folder / "weights.json"
    if not path.is_file():
        return None
    tensors = json.loads(path.read_text(encoding="utf-8"))["tensors"]
    entries = sum(tensor["entries"] for tensor in tensors)
    return sum(tensor["changed"] for tensor in tensors) / entries if entries else None


def _verdicts(compared: Contrast, content: Mapping[str, Any], audited: Mapping[str, Any]) -> list[dict[str, Any]]:
    def by_metric(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {row["metric"]: row for row in rows}

    evidence = Evidence(
        headline=by_metric([metric_row(metric, compared.confidence) for metric in compared.metrics]),
        two_by_two=by_metric(content["two_by_two"]),
        null_split=content["null_split"],
        sensitivity=content["sensitivity"],
        normalised=by_metric(content["normalised"]),
        null_pair=None if content["null_pair"] is None else by_metric(content["null_pair"]),
        audit={role: reading(model) for role, model in audited["models"].items()},
    )
    return [judge(claim, evidence) for claim in CLAIMS]


CONTROL = Stage(
    name="controls",
    make=control,
    reads=(
        *SCORING,
        "bootstrap.seed",
        "bootstrap.confidence",
        "controls.resamples",
        "controls.sensitivity",
        "controls.splits",
        "controls.seed",
        "controls.null_run",
    ),
    needs=("select", "attribute", "audit", "truncations", "divergence", "contrast", "weights"),
)
