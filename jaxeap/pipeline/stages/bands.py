"""The scores by position in the answer: the loss of each band of its counted tokens, attributed by itself.

The loss of an answer is the mean over its counted tokens and what stands after a token has no part in its loss, so
the scores of the bands, each weighed by its share of the tokens, add up to those of the whole.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from jaxeap.parallel import hosts
from jaxeap.pipeline.scoring.mean import mean_path
from jaxeap.pipeline.scoring.texts import Target, Texts
from jaxeap.pipeline.settings import SCORING, SCORING_TUNING
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, Cell, score_targets
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import write_json

BANDS_FILE = "bands.json"


def band_folder(folder: Path, band: int, cell: Cell) -> Path:
    """Where the finished stage's folder holds the scores of one cell in a band, the first being 1."""
    return folder / f"band_{band}" / cell.name


def bands_of(texts: Texts, bands: int) -> list[Texts]:
    """The texts with the loss of one band each: the counted tokens cut into parts of as equal a size as can be.

    Raises:
      ValueError: a text has fewer counted tokens than there are bands.
    """
    for id_, (start, stop) in zip(texts.ids, texts.counted, strict=True):
        if stop - start < bands:
            raise ValueError(
                f"config.contrast.position_bands is {bands}, but of question {id_!r} only {stop - start} tokens count; "
                "lower it, or raise config.selection.alpha"
            )
    return [_band(texts, number, bands) for number in range(bands)]


def _band(texts: Texts, number: int, bands: int) -> Texts:
    def edge(start: int, stop: int, which: int) -> int:
        return start + (stop - start) * which // bands

    counted = tuple((edge(*whole, number), edge(*whole, number + 1)) for whole in texts.counted)
    corrupted = texts.corrupted
    if corrupted is not None:
        corrupted = tuple(row[: stop - 1] for row, (_, stop) in zip(corrupted, counted, strict=True))
    return dataclasses.replace(texts, counted=counted, corrupted=corrupted)


def score_bands(run: StageRun) -> None:
    """Writes bands.json and, where there are several, for each a folder of scores of each model on its own text."""
    bands = run.config.contrast.position_bands
    if hosts.is_first():
        write_json(run.folder / BANDS_FILE, {"bands": bands})
    if bands == 1:
        return
    selection, settings = selection_of(run.inputs["select"]), run.config.attribution
    for cell in OWN_TEXT:
        whole = Texts.of(selection, cell.text, settings)
        targets = [
            Target(band_folder(run.folder, number, cell), texts, f"{cell.text} text, band {number} of {bands}")
            for number, texts in enumerate(bands_of(whole, bands), start=1)
        ]
        for target in targets if settings.ablation == "mean" and hosts.is_first() else ():
            # What a source is replaced by is the same in every band, or they would not add up.
            mean_path(target.folder).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(mean_path(run.inputs["attribute"] / cell.name), mean_path(target.folder))
        score_targets(run, cell.model, targets)


BANDS = Stage(
    name="bands",
    make=score_bands,
    reads=("base", "tuned", "dtype", *SCORING, "contrast.position_bands"),
    tuning=(*SCORING_TUNING, "adapter_base"),
    needs=("select", "attribute"),
    on_all_hosts=True,
)
