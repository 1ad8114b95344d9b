"""How much more a pair changed than its null pair, from the scores of both runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxeap.metrics import MetricOptions
from jaxeap.metrics.change_difference import RunStatistics, change_differences
from jaxeap.pipeline.stage import read_manifest
from jaxeap.pipeline.stages.attribute import ATTRIBUTE, OWN_TEXT
from jaxeap.pipeline.stages.run_statistics import run_statistics
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.tasks.selection import Selection


def beyond_null_pair(
    null_run: Path,
    scored: Path,
    selection: Selection,
    options: MetricOptions,
    bootstrap: Mapping[str, Any],
    memory_bytes: int,
) -> tuple[list[dict[str, Any]], str | None]:
    """This pair's changes less the null pair's, paired by the questions that both have.

    Args:
      null_run: work directory of the null pair.
      scored: this run's folder of the stage `attribute`.
      selection: this run's.
      options: of the metrics, which both runs share.
      bootstrap: "resamples", "seed" and "confidence".
      memory_bytes: see `headline_pairs`.

    Returns:
      A row for each claimed metric that has a value in all models, as of `ChangeDifference.to_json`, and None; or no
      rows, and what the null run lacks.
    """
    if missing := _missing(null_run):
        return [], missing
    prompts, of_null = _base_prompts(selection), _base_prompts(selection_of(null_run / "select"))
    null = run_statistics(null_run / "attribute", list(of_null), options, memory_bytes)
    # One id over another prompt is another question: it must not be drawn for both.
    names = tuple(
        id_ if prompts.get(id_, prompt) == prompt else f"{id_} of the null" for id_, prompt in of_null.items()
    )
    found = change_differences(
        RunStatistics(names, null.pairs),
        run_statistics(scored, selection.question_ids, options, memory_bytes),
        bootstrap["resamples"],
        bootstrap["seed"],
        bootstrap["confidence"],
    )
    return [row.to_json(bootstrap["confidence"]) for row in found], None


def _missing(null_run: Path) -> str | None:
    for stage in ("select", "attribute"):
        manifest = read_manifest(null_run / stage)
        if manifest is None or not manifest.complete:
            return f"its folder has no finished stage {stage}"
    if any(not (null_run / "attribute" / cell.name).is_dir() for cell in OWN_TEXT):
        return "its scores are gone (attribute/)"
    if manifest is not None and manifest.version != ATTRIBUTE.version:
        return f"its scores are of version {manifest.version} of stage attribute, this run's of {ATTRIBUTE.version}"
    return None


def _base_prompts(selection: Selection) -> dict[str, tuple[int, ...]]:
    """By question, the tokens that base was given."""
    return {each.question_id: each.base.tokens[: each.base.start] for each in selection.questions}
