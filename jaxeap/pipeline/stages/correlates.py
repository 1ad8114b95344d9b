"""With what a question's diversity and intensity go along: correctness, difficulty, length and loss of its answer."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.compare import interval_to_json
from jaxeap.metrics.diversity import diversity_per_example, standardised, stream_correlations
from jaxeap.metrics.inference import mean_interval
from jaxeap.metrics.inference.logistic import RIDGE, logistic_model
from jaxeap.metrics.inference.mean_interval import mean_intervals
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.inference.spearman import rank_correlation
from jaxeap.metrics.intensity import intensity_per_example
from jaxeap.metrics.stream import per_example
from jaxeap.models.families import read_model_config
from jaxeap.parallel import hosts
from jaxeap.pipeline.inputs.difficulty import difficulties
from jaxeap.pipeline.inputs.pair import ROLES, sources_of
from jaxeap.pipeline.inputs.vocabulary import require_tokens_in_embedding
from jaxeap.pipeline.scoring.score_stream import stream_of
from jaxeap.pipeline.scoring.scores import iterate_scores
from jaxeap.pipeline.scoring.texts import Target, Texts
from jaxeap.pipeline.settings import SCORING, SCORING_TUNING
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, Cell, nodes_of, score_targets
from jaxeap.pipeline.stages.grade import verdicts_of
from jaxeap.pipeline.stages.respond import questions_of, responses_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.tasks.correctness import CORRECTNESS_CLASSES, correctness_classes, count_classes
from jaxeap.tasks.responses import Response
from jaxeap.tasks.selection import CutSequence, Role, SelectedQuestion

CORRELATES = "correlates.json"
STATISTICS = ("diversity", "intensity")
COVARIATES = ("correct", "difficulty", "length", "loss")
TERMS = (*STATISTICS, "difficulty", "length", "loss")

FloatArray = npt.NDArray[np.float64]


def correlates_of(folder: Path) -> dict[str, Any]:
    """correlates.json of the finished stage's folder."""
    return read_json(folder / CORRELATES)


def correlate(run: StageRun) -> None:
    """Writes correlates.json, and for each model a folder of scores, a file a batch.

    The questions are a plain random draw from all that both models gave an answer to, so that every class of
    correctness has the share that it has among them. All answers are cut where the selection cut its own: with a
    reference length for each class, classes would differ by their cut.
    """
    settings = run.config.correlates
    responses = {role: {r.question_id: r for r in responses_of(run.inputs["respond"], role)} for role in ROLES}
    ids = draw(responses["base"], responses["tuned"], settings.max_questions, settings.seed)
    if not ids:
        if hosts.is_first():
            write_json(run.folder / CORRELATES, {"questions": 0, "classes": {}, "associations": [], "logistic": []})
        return
    selection = selection_of(run.inputs["select"])
    drawn = dataclasses.replace(
        selection,
        questions=tuple(
            SelectedQuestion(id_, *(cut(responses[role][id_], selection.cut_length) for role in ROLES)) for id_ in ids
        ),
    )
    for cell in OWN_TEXT:
        texts, known = (Texts.of(which, cell.text, run.config.attribution) for which in (drawn, selection))
        source = sources_of(run.config)[cell.model]
        rows = read_model_config(source.model_folder).vocab_size
        require_tokens_in_embedding(texts.sequences, rows, f"the {cell.model} model ({source})")
        targets = [
            Target(folder / cell.name, which, f"{cell.text} text")
            for folder, which in ((run.folder, texts), (run.inputs["attribute"], known))
        ]
        score_targets(run, cell.model, targets[:1], targets[1:])
    if not hosts.is_first():
        return
    with run.console.status("correlating diversity and intensity with what the answers were"):
        _write(run, ids, responses, selection.cut_length)


def draw(base: dict[str, Response], tuned: dict[str, Response], number: int, seed: int) -> list[str]:
    """Ids of up to `number` questions that neither model left without an answer, in the order of asking."""
    answered = [id_ for id_, response in base.items() if response.answer_tokens and tuned[id_].answer_tokens]
    chosen = set(random.Random(seed).sample(answered, min(number, len(answered))))
    return [id_ for id_ in answered if id_ in chosen]


def cut(response: Response, length: int) -> CutSequence:
    """The prompt with the first `length` tokens of the answer, which are counted."""
    tokens = response.prompt_tokens + response.answer_tokens[:length]
    return CutSequence(tokens, start=len(response.prompt_tokens), stop=len(tokens))


def _write(run: StageRun, ids: list[str], responses: dict[Role, dict[str, Response]], cut_length: int) -> None:
    verdicts = {role: verdicts_of(run.inputs["grade"], role) for role in ROLES}
    right = {role: {verdict.question_id: verdict.correct for verdict in verdicts[role]} for role in ROLES}
    class_of = correctness_classes(verdicts["base"], verdicts["tuned"])
    bootstrap = run.config.bootstrap
    options = InferenceOptions(run.config.correlates.resamples, bootstrap.seed, bootstrap.confidence, permutations=0)
    content: dict[str, Any] = {"associations": [], "logistic": [], "by_class": []}
    asked = questions_of(run.inputs["respond"])
    hardness, kind = difficulties(asked, list(right.values()))
    hard = dict(zip((question.id for question in asked), hardness, strict=True))
    for cell in OWN_TEXT:
        role = cell.model
        found = _statistics(run, cell, ids)
        found["correct"] = np.array([right[role][id_] for id_ in ids], float)
        found["difficulty"] = np.array([hard[id_] for id_ in ids])
        found["length"] = np.array([len(responses[role][id_].answer_tokens) for id_ in ids], float)
        content["associations"] += _associations(role, found, options)
        content["logistic"] += _logistic(role, found, options)
        content["by_class"] += _by_class(role, found, [class_of[id_] for id_ in ids], options.confidence)
    drawn = Counter(class_of[id_] for id_ in ids)
    head = {
        "questions": len(ids),
        "answered": len(responses["base"]),
        "draw": "plain random, from all questions that both models gave an answer to",
        "seed": run.config.correlates.seed,
        "cut_length": cut_length,
        "difficulty": kind,
        "ridge": RIDGE,
        "classes": count_classes({id_: class_of[id_] for id_ in ids}),
    }
    write_json(run.folder / CORRELATES, head | content)
    run.say(
        f"correlates over {len(ids)} questions: "
        + ", ".join(f"{drawn[name]} {name.replace('_', ' ')}" for name in CORRECTNESS_CLASSES)
    )
    for row in content["associations"]:
        if row["covariate"] == "correct" and row["interval"] is not None:
            low, high = row["interval"]["low"], row["interval"]["high"]
            rho = f"rho {row['spearman']:+.2f} [{low:+.2f}, {high:+.2f}]"
            run.say(f"{row['role']}: {row['statistic']} and right answers, {rho}")


def _statistics(run: StageRun, cell: Cell, ids: Sequence[str]) -> dict[str, FloatArray]:
    """Diversity, intensity and loss of every question, [N] each."""
    mask, metrics, folder = nodes_of(run.inputs["attribute"]).mask, run.config.metrics, run.folder / cell.name
    stream = stream_of(folder, ids)
    (intensity,) = per_example(stream, [lambda scores: intensity_per_example(scores, mask, metrics.entries)])
    correlations = stream_correlations(
        stream,
        lambda scores: standardised(scores, mask, metrics.entries, metrics.correlation),
        mask.size,
        memory_bytes=int(run.config.contrast.memory * 2**30),
    )
    loss = {
        id_: float(value)
        for shard in iterate_scores(folder)
        for id_, value in zip(shard.question_ids, shard.loss, strict=True)
    }
    return {
        "diversity": diversity_per_example(correlations),
        "intensity": intensity,
        "loss": np.array([loss[id_] for id_ in ids]),
    }


def _associations(role: Role, found: dict[str, FloatArray], options: InferenceOptions) -> list[dict[str, Any]]:
    rows = []
    for statistic in STATISTICS:
        for covariate in COVARIATES:
            rho = rank_correlation(found[statistic], found[covariate], options)
            rows.append(
                {
                    "role": role,
                    "statistic": statistic,
                    "covariate": covariate,
                    "spearman": rho.value,
                    "interval": interval_to_json(rho.interval, options.confidence, rho.method),
                    "examples": rho.examples,
                }
            )
    return rows


def _logistic(role: Role, found: dict[str, FloatArray], options: InferenceOptions) -> list[dict[str, Any]]:
    coefficients, examples = logistic_model(found["correct"], {term: found[term] for term in TERMS}, options)
    return [
        {
            "role": role,
            "term": coefficient.term,
            "coefficient": coefficient.value,
            "interval": interval_to_json(coefficient.interval, options.confidence, "percentile"),
            "examples": examples,
        }
        for coefficient in coefficients
    ]


def _by_class(
    role: Role, found: dict[str, FloatArray], classes: Sequence[str], confidence: float
) -> list[dict[str, Any]]:
    rows = []
    for name in CORRECTNESS_CLASSES:
        for statistic in STATISTICS:
            values = found[statistic][np.array(classes) == name]
            values = values[np.isfinite(values)]
            interval = None
            if len(values) > 1:
                low, high = mean_intervals(values[:, None], confidence)
                interval = interval_to_json((float(low[0]), float(high[0])), confidence, mean_interval.METHOD)
            mean = float(values.mean()) if len(values) else None
            rows.append(
                {
                    "role": role,
                    "class": name,
                    "statistic": statistic,
                    "mean": mean,
                    "interval": interval,
                    "examples": len(values),
                }
            )
    return rows


CORRELATES_STAGE = Stage(
    name="correlates",
    make=correlate,
    reads=(
        "base",
        "tuned",
        "dtype",
        *SCORING,
        "metrics.entries",
        "metrics.correlation",
        "bootstrap.seed",
        "bootstrap.confidence",
        "correlates",
    ),
    tuning=(*SCORING_TUNING, "adapter_base", "contrast.memory"),
    needs=("respond", "grade", "select", "attribute"),
    on_all_hosts=True,
)
