"""Texts, resampling, means and what is taken over from finished scores; each against the library's own call."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.attribute import mean_sources
from jaxeap.attribution.batch import Batch
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.artifacts import read_tensors
from jaxeap.pipeline.scores import Scores, append_shard, finished_questions, read_scores
from jaxeap.pipeline.scoring import MEANS, Target, Texts, copy_equal, method_options, resampled
from jaxeap.pipeline.stages.attribute import Cell, cells_of, scores_of
from jaxeap.pipeline.stages.select import selection_of

TEXTS = Texts(
    ("a", "b", "c"), ((1, 2, 3, 4, 9), (5, 6, 7), (1, 2, 8, 4)), ((2, 4), (1, 3), (2, 4))
)  # fmt: skip


def test_resampling_is_one_cycle_through_all_and_as_long_as_what_it_replaces():
    texts = Texts(
        tuple("abcdefg"),
        tuple((number,) * (3 + number % 3) for number in range(1, 8)),
        tuple((1, 3 + number % 3) for number in range(1, 8)),
    )
    stand_ins = resampled(texts, seed=3)
    assert [len(each) for each in stand_ins] == [stop - 1 for _, stop in texts.counted]
    partner = [each[0] - 1 for each in stand_ins]
    place, seen = 0, []
    for _ in range(7):
        seen.append(place := partner[place])
    assert sorted(seen) == list(range(7))
    assert stand_ins == resampled(texts, seed=3) != resampled(texts, seed=4)


def test_a_shorter_stand_in_goes_on_with_its_last_token_that_is_fed_to_the_model():
    texts = Texts(("a", "b"), ((1, 2, 3, 4, 5), (6, 7, 8)), ((1, 5), (1, 3)))
    assert resampled(texts, 0) == ((6, 7, 7, 7), (1, 2))
    with pytest.raises(ValueError, match="there is only one"):
        resampled(texts.some([0]), 0)


def test_only_what_the_scores_depend_on_makes_texts_differ():
    other = dataclasses.replace(
        TEXTS, sequences=((1, 2, 3, 4, 7), (5, 6, 7), (1, 2, 8, 4)), counted=((2, 4), (1, 3), (1, 4))
    )
    assert [TEXTS.scored_part(place) == other.scored_part(place) for place in range(3)] == [True, True, False]


def scores_of_ids(*ids: str) -> Scores:
    numbers = np.arange(len(ids), dtype=np.float32) + 1
    return Scores(ids, np.broadcast_to(numbers[:, None, None], (len(ids), 2, 2)), numbers, numbers)


@pytest.mark.parametrize(("ablation", "copied"), [("zero", {"a", "c"}), ("mean", set())])
def test_equal_texts_are_taken_over_from_finished_scores(tmp_path: Path, ablation: str, copied: set[str]):
    append_shard(tmp_path / "own", scores_of_ids("c", "b"))
    append_shard(tmp_path / "own", scores_of_ids("a"))
    target = dataclasses.replace(TEXTS, sequences=((1, 2, 3, 4, 9), (5, 6, 1), (1, 2, 8, 4)))
    source = Target(tmp_path / "own", TEXTS, "")
    for _ in range(2):  # The second time there is nothing left to take.
        copy_equal(Target(tmp_path / "other", target, ""), source, {"ablation": ablation})
        assert finished_questions(tmp_path / "other") == copied
    assert len(list((tmp_path / "other").glob("*"))) == len(copied)
    for id_ in copied:
        one, other = (read_scores(tmp_path / name, [id_]) for name in ("own", "other"))
        np.testing.assert_array_equal(one.scores, other.scores)
    copy_equal(Target(tmp_path / "same", TEXTS, ""), source, {"ablation": ablation})
    assert finished_questions(tmp_path / "same") == {"a", "b", "c"}


def test_options_that_are_not_set_keep_the_methods_defaults():
    assert method_options({"options": {"steps": 3, "rule": None, "halved_products": False}}) == {
        "steps": 3,
        "halved_products": False,
    }


@pytest.fixture
def three(config):
    config.num_questions = 4
    config.attribution.batch_size = 3
    return config


def whole_batch(texts: Texts, **changes) -> Batch:
    return Batch.from_sequences(texts.sequences, texts.counted, **changes)


def test_mean_ablation_is_the_librarys_over_the_texts_that_are_scored(
    three, console, tmp_path, no_figures, monkeypatch
):
    three.attribution.ablation, three.attribution.mean_over = "mean", "each_position"
    three.attribution.method, three.attribution.options.steps = "eap_ig_inputs", 2
    monkeypatch.setattr("jaxeap.pipeline.scoring.BATCHES_A_SAVE", 1)
    run_pipeline(three, tmp_path, console)
    selection, model = selection_of(tmp_path / "select"), jaxeap.load_model(three.base)
    for role in ("base", "tuned"):
        texts = Texts.of(selection, role, three.attribution)
        batch = whole_batch(texts)
        reference = mean_sources(model, batch, over="each_position")
        name = f"base_on_{role}_text"
        stored, _ = read_tensors(tmp_path / "attribute" / MEANS / f"{name}.safetensors")
        np.testing.assert_allclose(stored["mlp"], reference.mlp, atol=1e-6)
        expected = jaxeap.attribute(model, batch, method="eap_ig_inputs", ablation="mean", reference=reference, steps=2)
        found = scores_of(tmp_path / "attribute", Cell("base", role), texts.ids)
        np.testing.assert_allclose(found.scores, expected.scores, atol=2e-6)
        np.testing.assert_allclose(found.gradient_norm, expected.gradient_norm, rtol=1e-5)
    assert not list((tmp_path / "attribute" / MEANS).glob("*unfinished*"))
    assert len(cells_of(tmp_path / "attribute")) == 4


def test_a_mean_goes_on_where_it_was_interrupted(three, console, tmp_path, no_figures, monkeypatch):
    """The last of two batches is interrupted; the sums of the first are kept, and the mean is the same."""
    three.attribution.ablation = "mean"
    monkeypatch.setattr("jaxeap.pipeline.scoring.BATCHES_A_SAVE", 1)
    run_pipeline(three, tmp_path / "whole", console)
    calls = []
    summed = jaxeap.pipeline.scoring.summed_sources

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return summed(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("jaxeap.pipeline.scoring.summed_sources", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(three, tmp_path / "resumed", console)
    counted = []
    monkeypatch.setattr("jaxeap.pipeline.scoring.summed_sources", lambda *a: counted.append(1) or summed(*a))
    run_pipeline(three, tmp_path / "resumed", console)
    assert len(counted) == 4 * 2 - 1
    for path in (tmp_path / "whole" / "attribute" / MEANS).iterdir():
        assert path.read_bytes() == (tmp_path / "resumed" / "attribute" / MEANS / path.name).read_bytes()


def test_resample_ablation_is_a_corrupted_input(three, console, tmp_path, no_figures):
    three.attribution.ablation = "resample"
    run_pipeline(three, tmp_path, console)
    selection, model = selection_of(tmp_path / "select"), jaxeap.load_model(three.tuned)
    texts = Texts.of(selection, "tuned", three.attribution)
    assert texts.corrupted is not None
    expected = jaxeap.attribute(model, whole_batch(texts, corrupted=texts.corrupted), ablation="corrupted")
    found = scores_of(tmp_path / "attribute", Cell("tuned", "tuned"), texts.ids)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    assert np.abs(found.scores).max() > 1e-4


def test_without_cross_text_two_cells_are_scored(three, console, tmp_path, no_figures):
    three.controls.cross_text = False
    run_pipeline(three, tmp_path, console)
    assert cells_of(tmp_path / "attribute") == (Cell("base", "base"), Cell("tuned", "tuned"))
