"""The mean of the sources that ablation "mean" puts in their places: over all texts, kept on disk, resumed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxeap.attribution.attribute import summed_sources
from jaxeap.attribution.interventions import add_sums, mean_of_sums
from jaxeap.attribution.sources import Sources
from jaxeap.models.model import Decoder
from jaxeap.parallel import hosts
from jaxeap.pipeline.execution.batches import Places, one_ahead, unfinished_batches
from jaxeap.pipeline.execution.out_of_memory import Portion, fewest_rows, in_portions
from jaxeap.pipeline.execution.progress import progress_bar
from jaxeap.pipeline.scoring.texts import SMALLER_TEXTS, Texts
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.storage.artifacts import intact_tensors, read_tensors, write_tensors

MEANS = "means"
BATCHES_A_SAVE = 16
"""After as many the sums of a mean are saved: a killed run goes on from there."""


def mean_path(folder: Path) -> Path:
    """Where the mean of the sources lies that the scores in a folder were made with."""
    return folder.with_name(MEANS) / f"{folder.name}.safetensors"


def read_mean(folder: Path, settings: Mapping[str, Any]) -> Sources | None:
    """The mean that the scores in a folder were made with; None for ablations without one."""
    if settings["ablation"] != "mean":
        return None
    return _sources(read_tensors(mean_path(folder))[0])


def mean_reference(run: StageRun, folder: Path, texts: Texts, model: Decoder, description: str) -> Sources | None:
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
