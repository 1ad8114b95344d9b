"""Scores of one model on a list of texts: in batches that are kept as they are finished, by the method that is set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxeap.attribution.attribute import METHODS, attribute
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.interventions import Ablation
from jaxeap.attribution.result import AttributionResult
from jaxeap.attribution.sources import Sources
from jaxeap.models.model import Decoder
from jaxeap.parallel import hosts
from jaxeap.pipeline.execution.batches import Places, one_ahead, unfinished_batches
from jaxeap.pipeline.execution.out_of_memory import Portion, devices_of, fewest_rows, in_portions
from jaxeap.pipeline.execution.progress import progress_bar
from jaxeap.pipeline.execution.throughput import Throughput
from jaxeap.pipeline.planning.memory import Scoring, position_bytes, scoring_flops
from jaxeap.pipeline.scoring.mean import mean_reference
from jaxeap.pipeline.scoring.scores import Scores, append_shard, finished_questions, iterate_scores
from jaxeap.pipeline.scoring.texts import SMALLER_TEXTS, Target
from jaxeap.pipeline.stage import StageRun
from jaxeap.tasks.selection import Role


def method_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the method that are set; the others keep the method's own defaults."""
    return {name: value for name, value in settings["options"].items() if value is not None}


def ablation_of(settings: Mapping[str, Any]) -> Ablation:
    """The ablation by `attribute`'s name: a resampled text is a corrupted one."""
    return "corrupted" if settings["ablation"] == "resample" else settings["ablation"]


def copy_equal(target: Target, source: Target, settings: Mapping[str, Any]) -> None:
    """Takes over, from the finished scores of the same model on other texts, those of texts that are equal.

    With ablation "mean" none unless all are equal, since the mean is over all texts.
    """
    folder, texts, there = target.folder, target.texts, source.texts
    known = {id_: there.scored_part(place) for place, id_ in enumerate(there.ids)}
    equal = {id_ for place, id_ in enumerate(texts.ids) if known.get(id_) == texts.scored_part(place)}
    if settings["ablation"] == "mean" and not (len(equal) == len(texts.ids) == len(there.ids)):
        return
    if not (wanted := equal - finished_questions(folder)):
        return
    for shard in iterate_scores(source.folder):
        if rows := [row for row, id_ in enumerate(shard.question_ids) if id_ in wanted]:
            append_shard(folder, shard.rows(rows))


def unfinished(target: Target, batch_size: int) -> list[Places]:
    """Batches of the texts that the folder holds no scores of, as the first host finds it."""
    finished, texts = set(hosts.on_first(lambda: sorted(finished_questions(target.folder)))), target.texts
    return unfinished_batches([stop for _, stop in texts.counted], [id_ in finished for id_ in texts.ids], batch_size)


def score_rest(run: StageRun, target: Target, model: Decoder, role: Role) -> None:
    """Scores the texts that the folder does not hold yet, and saves after every batch.

    Where a device runs out of memory, batches are halved, and in the end chunks.

    Args:
      run: of the stage; its settings name method, ablation and batch size.
      target: all texts, finished ones included; a mean lies beside its folder.
      model: already loaded.
      role: which of the pair it is.

    Raises:
      ValueError: a loss or a score is not finite, or the device has no memory for a single text.
    """
    settings, texts = run.config.attribution, target.texts
    if not unfinished(target, settings.batch_size):
        return
    what = f"{role} model on {target.what}"
    reference = mean_reference(run, target.folder, texts, model, f"{what}: mean of its sources")
    in_portions(
        run,
        "scoring edges",
        Portion(min(settings.batch_size, len(texts.ids))),
        lambda portion: _score(run, target, model, role, reference, portion),
        least=Portion(fewest_rows(model), position_bytes(model.config, settings.level)),
        remedy=SMALLER_TEXTS,
    )


def _score(
    run: StageRun, target: Target, model: Decoder, role: Role, reference: Sources | None, portion: Portion
) -> None:
    """What is left, in batches of so many rows; the device computes a batch while the one before is written."""
    settings, texts, what = run.config.attribution, target.texts, f"{role} model on {target.what}"
    todo = unfinished(target, portion.rows)
    speed = Throughput.of_devices(devices_of(model))
    shapes: set[tuple[int, int]] = set()

    def start(places: Places) -> tuple[Batch, AttributionResult]:
        batch = texts.batch(places.filled)
        if (shape := (batch.tokens.shape[1], batch.targets.shape[1])) not in shapes:
            shapes.add(shape)
            speed.compiling()
        result = attribute(
            model,
            batch,
            method=settings.method,
            level=settings.level,
            ablation=ablation_of(settings),
            reference=reference,
            chunk_bytes=portion.chunk_bytes,
            **method_options(settings),
        )
        for array in (result.scores, result.loss, result.gradient_norm):
            if array is not None and array.is_fully_addressable:
                array.copy_to_host_async()
        return batch, result

    with progress_bar(run.console, f"{what}: scoring edges", total=sum(len(places.real) for places in todo)) as advance:
        for places, (batch, result) in one_ahead(todo, start):
            real = len(places.real)
            columns = hosts.to_hosts((result.scores, result.loss, result.gradient_norm))
            if hosts.is_first():
                scored = Scores(
                    tuple(texts.ids[place] for place in places.real), *(column[:real] for column in columns)
                )
                _require_finite(scored, run, role, target.what)
                append_shard(target.folder, scored)
            speed.finished(int(batch.mask[:real].sum()), batch.tokens.size, _flops(run, model, batch))
            advance(real, speed.rates())
    if said := speed.summary():
        run.say(f"{what}: {said}")


def _flops(run: StageRun, model: Decoder, batch: Batch) -> int | None:
    """Operations of scoring the batch; None for methods whose programs depend on what they find."""
    settings = run.config.attribution
    options = METHODS[settings.method].options(**method_options(settings))
    (rows, length), width = batch.tokens.shape, batch.targets.shape[1]
    kind = (settings.method, settings.level, ablation_of(settings))
    return scoring_flops(Scoring(model.config, run.config.dtype, *kind, rows, length, width, options))


def _require_finite(scored: Scores, run: StageRun, role: Role, what: str) -> None:
    for id_, scores, loss in zip(scored.question_ids, scored.scores, scored.loss, strict=True):
        if not (np.isfinite(loss) and np.isfinite(scores).all()):
            which = f"loss is {loss}" if not np.isfinite(loss) else "edge scores are not all finite"
            remedy = "convert or download the checkpoint again, its weights are likely damaged"
            if run.config.dtype != "float32":
                remedy = f"run with --config.dtype=float32 ({run.config.dtype} may overflow), or {remedy}"
            raise ValueError(
                f"{role} model ({run.config[role]}): the {which} on the {what}, question {id_!r}; {remedy}"
            )
