"""Scores of one model on a list of texts: in batches that are kept as they are finished, by the method that is set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxeap.attribution.attribute import METHODS, attribute, summed_sources
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.interventions import Ablation, add_sums, mean_of_sums
from jaxeap.attribution.result import AttributionResult
from jaxeap.attribution.sources import Sources
from jaxeap.models.model import Decoder
from jaxeap.parallel import hosts
from jaxeap.pipeline.artifacts import intact_tensors, read_tensors, write_tensors
from jaxeap.pipeline.batches import Places, one_ahead, unfinished_batches
from jaxeap.pipeline.out_of_memory import Portion, devices_of, fewest_rows, in_portions
from jaxeap.pipeline.planning.memory import position_bytes, scoring_flops
from jaxeap.pipeline.progress import progress_bar
from jaxeap.pipeline.scores import Scores, append_shard, finished_questions, iterate_scores
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.throughput import Throughput
from jaxeap.sampling.batching import padded_length
from jaxeap.tasks.selection import Role, Selection

MEANS = "means"
SMALLER_TEXTS = (
    "cut the weights over more devices (--config.mesh.fsdp, --config.mesh.tensor), or lower --config.selection.alpha"
)
"""What helps where not even a single text fits."""
BATCHES_A_SAVE = 16
"""After as many the sums of a mean are saved: a killed run goes on from there."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """What a model is scored on.

    Attributes:
      ids: of the questions.
      sequences: tokens of each, prompt and answer.
      counted: (start, stop) of each, the tokens that the loss counts.
      corrupted: for ablation "resample", what stands in for each, stop - 1 tokens; None for any other.
    """

    ids: tuple[str, ...]
    sequences: tuple[tuple[int, ...], ...]
    counted: tuple[tuple[int, int], ...]
    corrupted: tuple[tuple[int, ...], ...] | None = None

    @classmethod
    def of(cls, selection: Selection, role: Role, settings: Mapping[str, Any]) -> Texts:
        """The selected answers of one model, under the settings of attribution.

        Raises:
          ValueError: a single question is to be resampled.
        """
        texts = cls(
            tuple(selection.question_ids),
            tuple(tuple(sequence) for sequence in selection.sequences(role)),
            tuple(selection.counted(role)),
        )
        if settings["ablation"] != "resample":
            return texts
        return dataclasses.replace(texts, corrupted=resampled(texts, settings["seed"]))

    def batch(self, places: Sequence[int]) -> Batch:
        """Some of the texts as a batch, whose padded sizes are among few, so that few programs are compiled."""
        counted = [self.counted[place] for place in places]
        return Batch.from_sequences(
            [self.sequences[place] for place in places],
            counted,
            corrupted=None if self.corrupted is None else [self.corrupted[place] for place in places],
            length=padded_length(max(stop - 1 for _, stop in counted)),
            width=padded_length(max(stop - start for start, stop in counted)),
        )

    def some(self, places: Sequence[int]) -> Texts:
        """Some of the texts; what is resampled stays as it was drawn."""

        def those(column: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(column[place] for place in places)

        corrupted = None if self.corrupted is None else those(self.corrupted)
        return Texts(those(self.ids), those(self.sequences), those(self.counted), corrupted)

    def scored_part(self, place: int) -> tuple[Any, ...]:
        """All on which a text's scores depend, a mean apart."""
        start, stop = self.counted[place]
        return self.sequences[place][:stop], start, None if self.corrupted is None else self.corrupted[place]


@dataclasses.dataclass(frozen=True)
class Target:
    """Texts that a model is to be scored on, the folder for the scores, and the texts in words for messages."""

    folder: Path
    texts: Texts
    what: str


def resampled(texts: Texts, seed: int) -> tuple[tuple[int, ...], ...]:
    """Another question's text for each, each standing in for exactly one other: a random cyclic order.

    Position by position, as long as what it stands in for; where it is shorter its last token is repeated.
    """
    if len(texts.ids) < 2:
        raise ValueError("ablation 'resample' takes another selected question, and there is only one")
    order = np.random.default_rng(seed).permutation(len(texts.ids))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    stand_ins = []
    for (_, stop), place in zip(texts.counted, other, strict=True):
        given = texts.sequences[place][: texts.counted[place][1] - 1]
        stand_ins.append((*given, *given[-1:] * (stop - 1 - len(given)))[: stop - 1])
    return tuple(stand_ins)


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
    reference = _mean_reference(run, target.folder, texts, model, f"{what}: mean of its sources")
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
    sizes = (*batch.tokens.shape, batch.targets.shape[1])
    return scoring_flops(
        model.config, run.config.dtype, settings.method, settings.level, ablation_of(settings), *sizes, options
    )


def mean_path(folder: Path) -> Path:
    """Where the mean of the sources lies that the scores in a folder were made with."""
    return folder.with_name(MEANS) / f"{folder.name}.safetensors"


def read_mean(folder: Path, settings: Mapping[str, Any]) -> Sources | None:
    """The mean that the scores in a folder were made with; None for ablations without one."""
    if settings["ablation"] != "mean":
        return None
    return _sources(read_tensors(mean_path(folder))[0])


def _mean_reference(run: StageRun, folder: Path, texts: Texts, model: Decoder, description: str) -> Sources | None:
    """Mean output of every source over the texts, from the file where it is there, and else made and written."""
    settings = run.config.attribution
    path = mean_path(folder)
    if settings.ablation != "mean":
        return None

    def made() -> bool:
        return bool(intact_tensors(path, run.say, lambda _, metadata: metadata.get("texts") == len(texts.ids)))

    if hosts.on_first(made):
        hosts.require_seen(lambda: [path])
        return read_mean(folder, settings)
    unfinished_path = path.with_suffix(".unfinished.safetensors")
    sums, done = _unfinished_sums(run, unfinished_path)
    lengths = [stop for _, stop in texts.counted]

    def add_rest(portion: Portion) -> None:
        nonlocal sums
        todo = unfinished_batches(lengths, [place in done for place in range(len(lengths))], portion.rows)

        def start(places: Places) -> tuple[Sources, jax.Array]:
            return summed_sources(model, texts.batch(places.real), settings.mean_over)

        with progress_bar(run.console, description, total=len(lengths)) as advance:
            advance(len(done))
            for number, (places, started) in enumerate(one_ahead(todo, start), start=1):
                part = jax.block_until_ready(started)  # Not to add what turns out to have run out of memory.
                if hosts.several():  # What a run before has saved, and this is added to, is on the hosts.
                    part = hosts.to_hosts(part)
                sums = part if sums is None else add_sums(sums, part)
                done.update(places.real)
                if number % BATCHES_A_SAVE == 0 and number < len(todo) and hosts.is_first():
                    tensors = _arrays(sums[0]) | {"count": np.asarray(sums[1])}
                    write_tensors(unfinished_path, tensors, {"summed": sorted(done)})
                advance(len(places.real))

    asked = Portion(min(settings.batch_size, len(lengths)))
    least = Portion(fewest_rows(model))
    in_portions(run, "mean of the sources", asked, add_rest, least=least, remedy=SMALLER_TEXTS)
    assert sums is not None
    mean = _sources(hosts.from_first(_arrays(mean_of_sums([sums]))))
    if hosts.is_first():
        write_tensors(path, _arrays(mean), {"texts": len(texts.ids)})
        unfinished_path.unlink(missing_ok=True)
    return mean


def _sources(tensors: Mapping[str, Any]) -> Sources:
    """On the host, as arrays that every one of several has alike must be."""
    return Sources(**tensors)


def _unfinished_sums(run: StageRun, path: Path) -> tuple[tuple[Sources, Any] | None, set[int]]:
    """The sums that an interrupted run has saved, and the places of the texts that they are over."""

    def summed() -> list[int]:
        left = intact_tensors(path, run.say, lambda _, metadata: "summed" in metadata)
        return list(left[1]["summed"]) if left else []

    if not (done := set(hosts.on_first(summed))):
        return None, done
    hosts.require_seen(lambda: [path])
    tensors: dict[str, Any] = read_tensors(path)[0]
    count = tensors.pop("count")
    return (_sources(tensors), count), done


def _arrays(sources: Sources) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(sources, name)) for name in ("embedding", "heads", "attention", "mlp")}


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
