"""Scores by position in the answer: parts that add up to the whole."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxeap.pipeline.scoring.scores import read_scores
from jaxeap.pipeline.scoring.texts import Texts
from jaxeap.pipeline.stages.attribute import OWN_TEXT, scores_of
from jaxeap.pipeline.stages.bands import band_folder, bands_of
from jaxeap.pipeline.stages.contrast import metrics_of
from jaxeap.pipeline.stages.select import selection_of

TEXTS = Texts(("a", "b"), (tuple(range(10)), (1, 2, 3, 4)), ((2, 9), (1, 4)))


def test_counted_tokens_are_cut_into_parts_as_equal_as_can_be():
    first, second, third = bands_of(TEXTS, 3)
    assert [band.counted for band in (first, second, third)] == [((2, 4), (1, 2)), ((4, 6), (2, 3)), ((6, 9), (3, 4))]
    assert first.sequences == TEXTS.sequences and first.ids == TEXTS.ids
    assert bands_of(TEXTS, 1) == [TEXTS]


def test_a_stand_in_ends_where_its_band_ends():
    texts = dataclasses.replace(TEXTS, corrupted=((9,) * 8, (7,) * 3))
    assert [[len(row) for row in band.corrupted] for band in bands_of(texts, 3)] == [[3, 1], [5, 2], [8, 3]]


def test_more_bands_than_tokens_are_refused_by_the_question():
    with pytest.raises(ValueError, match="position_bands is 4, but of question 'b' only 3 tokens count; lower it"):
        bands_of(TEXTS, 4)


def test_bands_add_up_to_the_whole(finished: Path):
    selection = selection_of(finished / "select")
    ids = selection.question_ids
    for cell in OWN_TEXT:
        whole = scores_of(finished / "attribute", cell, ids)
        counted = np.array(selection.counted(cell.text))
        sizes = (counted[:, 1] - counted[:, 0]).astype(np.float64)
        cut = sizes // 2
        shares = (cut / sizes, 1 - cut / sizes)
        parts = [read_scores(band_folder(finished / "bands", number, cell), ids) for number in (1, 2)]
        summed = sum(share[:, None, None] * part.scores for share, part in zip(shares, parts, strict=True))
        np.testing.assert_allclose(summed, whole.scores, rtol=0, atol=2e-6 * np.abs(whole.scores).max())
        losses = sum(share * part.loss for share, part in zip(shares, parts, strict=True))
        np.testing.assert_allclose(losses, whole.loss, rtol=1e-5)
        assert np.abs(parts[0].scores - parts[1].scores).max() > 1e-3 * np.abs(whole.scores).max()


def test_every_metric_is_broken_down_by_band(finished: Path):
    content = metrics_of(finished / "contrast")
    rows = content["breakdowns"]["position"]
    assert list(dict.fromkeys(row["member"] for row in rows)) == ["1 of 2", "2 of 2"]
    assert {row["metric"] for row in rows} == set(content["contrast"]["metrics"])
    ids = selection_of(finished / "select").question_ids
    base, tuned = (read_scores(band_folder(finished / "bands", 2, cell), ids).scores for cell in OWN_TEXT)
    (row,) = (row for row in rows if (row["member"], row["metric"]) == ("2 of 2", "intensity"))
    np.testing.assert_allclose(row["difference"], np.abs(tuned).mean() - np.abs(base).mean(), rtol=1e-4)
