"""One contrast between two models of a plan, through the pipeline; or why it has no value."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
import rich.console

from jaxeap.metrics.bootstrap import resample_weights
from jaxeap.metrics.complexity import histogram_uppers
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.measures import Measure, measures
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.weighting import defined_examples
from jaxeap.pipeline import default_config, run_pipeline
from jaxeap.pipeline.inputs.questions import choose_questions
from jaxeap.pipeline.stages.attribute import OWN_TEXT, nodes_of, scores_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json
from jaxeap.rl.experiments.plan import Comparison
from jaxeap.sampling.respond import require_eos
from jaxeap.tasks.jsonl import write_jsonl
from jaxeap.tasks.lab_tasks import LAB_TASKS
from jaxeap.tasks.selection import EmptySelectionError
from jaxeap.tasks.tokenizer import encode_prompt, load_tokenizer

LOSS = Measure("loss", "Loss on the scored text", lambda losses, mask: losses)
"""Beside the metrics of the scores: they shrink with it, a model that is sure of its answer having small gradients."""


@dataclasses.dataclass(frozen=True, eq=False)
class Changes:
    """What changed from one model to another, by metric: of the questions as they are, and resampled.

    Attributes:
      title: metric -> its name for tables.
      base, tuned: metric -> value; metrics that have none in either model are left out.
      difference: metric -> [R], tuned - base in each resample of the questions.
      relative: metric -> [R], difference / |base| in each resample; NaN where base is 0.
    """

    title: dict[str, str]
    base: dict[str, float]
    tuned: dict[str, float]
    difference: dict[str, FloatArray]
    relative: dict[str, FloatArray]


@dataclasses.dataclass(frozen=True, eq=False)
class Compared:
    """The outcome of a comparison.

    Attributes:
      asked, selected: numbers of questions.
      accuracy: "base" and "tuned" -> share of the asked questions that the model answered rightly; of a comparison on
        reference text it says nothing, and is None.
      changes: None where there are too few questions.
      missing: why there are no changes; "" where there are.
    """

    asked: int
    selected: int
    accuracy: dict[str, float] | None
    changes: Changes | None
    missing: str = ""


def compare(
    comparison: Comparison, base: Path, tuned: Path, folder: Path, config: ml_collections.ConfigDict
) -> Compared:
    """Contrasts two models in `folder`, or reads what is finished there.

    Args:
      comparison: which.
      base, tuned: folders of the models.
      folder: work directory of the contrast.
      config: the experiment's.
    """
    settings = _pipeline_config(comparison, base, tuned, folder, config)
    quiet = rich.console.Console(file=io.StringIO())
    try:
        run_pipeline(settings, folder, quiet)
    except EmptySelectionError as error:
        summary = read_json(folder / "grade" / "summary.json")
        return Compared(summary["questions"], 0, summary["accuracy"], None, str(error).splitlines()[0])
    metrics = read_json(folder / "metrics.json")
    asked, selected = metrics["answers"]["questions"], metrics["contrast"]["examples"]
    accuracy = metrics["answers"]["accuracy"] if comparison.text == "own" else None
    if selected < config.contrast.fewest:
        missing = f"only {selected} of {asked} questions are left, fewer than {config.contrast.fewest}"
        return Compared(asked, selected, accuracy, None, missing)
    return Compared(asked, selected, accuracy, read_changes(folder, config.bootstrap.resamples, config.bootstrap.seed))


def read_changes(folder: Path, resamples: int, seed: int) -> Changes:
    """The changes from the scores of a finished contrast, questions resampled as in `jaxeap.metrics.contrast`."""
    selection, scored = selection_of(folder / "select"), folder / "attribute"
    mask = nodes_of(scored).mask
    base, tuned = (scores_of(scored, cell, selection.question_ids) for cell in OWN_TEXT)
    options = MetricOptions(**read_json(folder / "metrics.json")["contrast"]["options"])
    uppers = histogram_uppers([base.scores, tuned.scores], options.bin_range)
    pairs = [
        (one, one.per_example(base.scores, mask), other.per_example(tuned.scores, mask))
        for one, other in zip(*(measures(options, upper) for upper in uppers), strict=True)
    ]
    return changes([*pairs, (LOSS, base.loss.astype(float), tuned.loss.astype(float))], resamples, seed)


def changes(pairs: list[tuple[Measure, FloatArray, FloatArray]], resamples: int, seed: int) -> Changes:
    """The changes of metrics.

    Args:
      pairs: metric, and its statistics [N, ...] in base and tuned, example n about the same question.
      resamples: R.
      seed: of the resampling.
    """
    result = Changes({}, {}, {}, {}, {})
    weights = np.concatenate(list(resample_weights(len(pairs[0][1]), resamples, seed)))
    for measure, base, tuned in pairs:
        defined = (defined_examples(base) & defined_examples(tuned)).astype(np.float64)
        base, tuned = np.nan_to_num(base), np.nan_to_num(tuned)
        values = [float(measure.combine(statistics, defined[None])[0]) for statistics in (base, tuned)]
        if not np.isfinite(values).all():
            continue
        base_draws, tuned_draws = (measure.combine(statistics, weights * defined) for statistics in (base, tuned))
        difference = tuned_draws - base_draws
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where(base_draws != 0, difference / np.abs(base_draws), np.nan)
        result.title[measure.name] = measure.title
        result.base[measure.name], result.tuned[measure.name] = values
        result.difference[measure.name], result.relative[measure.name] = difference, relative
    return result


def _pipeline_config(
    comparison: Comparison, base: Path, tuned: Path, folder: Path, config: ml_collections.ConfigDict
) -> ml_collections.ConfigDict:
    settings, chosen = default_config(), config.contrast
    settings.base, settings.tuned = str(base), str(tuned)
    settings.questions = comparison.questions
    settings.num_questions, settings.question_seed = chosen.num_questions, chosen.question_seed
    settings.grader = LAB_TASKS[comparison.questions.partition(":")[0]].grader
    if comparison.text == "reference":
        settings.questions = str(_reference_answers(comparison, base, folder, chosen))
        settings.responses = "imported"
        settings.num_questions = None
    settings.sampling.max_new_tokens = comparison.max_new_tokens
    settings.sampling.batch_size = 128
    settings.selection.alpha = chosen.alpha
    settings.attribution.level = chosen.level
    settings.attribution.batch_size = chosen.batch_size
    settings.bootstrap.update(config.bootstrap)
    # Of the pipeline's contrast the lab reads the scores alone, and resamples seeds and questions itself.
    settings.contrast.intervals, settings.contrast.permutations = "percentile", 0
    settings.contrast.breakdowns, settings.contrast.edges = (), False
    settings.correlates.max_questions = 0
    # Hundreds of contrasts are made, and read by their own scores alone.
    settings.audit.edges = settings.controls.splits = settings.controls.divergence_questions = 0
    settings.controls.cross_text = settings.controls.sensitivity = False
    settings.circuits.sizes, settings.report.figures, settings.report.page = (), False, False
    settings.exports.edges = settings.exports.graphs = False
    return settings


def _reference_answers(comparison: Comparison, base: Path, folder: Path, chosen: ml_collections.ConfigDict) -> Path:
    """Writes a file in which both models give the right answer to every question."""
    path = folder.with_name(f"{folder.name}.reference.jsonl")
    tokenizer = load_tokenizer(base)
    eos = require_eos(tokenizer)

    def record(question: Any) -> dict[str, Any]:
        prompt = encode_prompt(tokenizer, question.question)
        answer = [*tokenizer(question.answer, add_special_tokens=False)["input_ids"], eos]
        tokens = {f"{role}_prompt_tokens": prompt for role in ("base", "tuned")}
        tokens |= {f"{role}_answer_tokens": answer for role in ("base", "tuned")}
        return {"id": question.id, "question": question.question, "answer": question.answer, **tokens}

    path.parent.mkdir(parents=True, exist_ok=True)
    questions = choose_questions(comparison.questions, (), chosen.num_questions, chosen.question_seed)
    write_jsonl(path, map(record, questions))
    return path
