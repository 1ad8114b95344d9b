"""Texts, resampling, means and what is taken over from finished scores; each against the library's own call."""

import dataclasses
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.attribute import mean_sources
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.scoring import mean, score
from jaxeap.pipeline.scoring.mean import mean_path, read_mean
from jaxeap.pipeline.scoring.score import copy_equal, method_options, score_rest
from jaxeap.pipeline.scoring.scores import Scores, append_shard, finished_questions, read_scores
from jaxeap.pipeline.scoring.texts import Target, Texts, resampled
from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages.attribute import ATTRIBUTE, Cell, cells_of
from tests.attribution.closeness import assert_scores_close

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
def scored(config, console, tmp_path: Path):
    """A function: settings of attribution -> the folder with the base model's scores on `sentences`."""
    config.attribution.batch_size = 3
    model = jaxeap.load_model(config.base)

    def score(**settings) -> Path:
        config.attribution.update(settings)
        reads = restricted(config, (*ATTRIBUTE.reads, *ATTRIBUTE.tuning))
        texts = sentences(config.attribution)
        target = Target(tmp_path / "attribute" / "base_on_base_text", texts, "base text")
        score_rest(StageRun(reads, tmp_path / "attribute", {}, console), target, model, "base")
        return target.folder

    return score


def sentences(settings) -> Texts:
    """Five of one length, so that all batches are of one shape."""
    rng = np.random.default_rng(0)
    tokens = tuple(tuple(map(int, row)) for row in rng.integers(1, 30, (5, 7)))
    texts = Texts(tuple("abcde"), tokens, ((3, 6),) * 5)
    if settings["ablation"] == "resample":
        texts = dataclasses.replace(texts, corrupted=resampled(texts, settings["seed"]))
    return texts


def assert_scored_as(folder: Path, texts: Texts, model, **arguments) -> None:
    """The first three, which the pipeline may have had in other batches."""
    expected = jaxeap.attribute(model, texts.batch([0, 1, 2]), **arguments)
    found = read_scores(folder, texts.ids[:3])
    assert_scores_close(found.scores, np.asarray(expected.scores), 2e-6)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
    np.testing.assert_allclose(found.gradient_norm, expected.gradient_norm, rtol=1e-5)
    assert np.abs(found.scores).max() > 1e-4


MEAN = {"ablation": "mean", "mean_over": "each_position", "method": "eap_ig_inputs", "options": {"steps": 2}}


def test_mean_ablation_is_the_librarys_over_the_texts_that_are_scored(scored, config):
    folder = scored(**MEAN)
    texts, model = sentences(config.attribution), jaxeap.load_model(config.base)
    reference = mean_sources(model, texts.batch(range(5)), over="each_position")
    stored = read_mean(folder, config.attribution)
    for name in ("embedding", "heads", "attention", "mlp"):
        np.testing.assert_allclose(getattr(stored, name), getattr(reference, name), atol=1e-6)
    assert_scored_as(folder, texts, model, reference=stored, steps=2, method="eap_ig_inputs", ablation="mean")


def test_a_mean_goes_on_where_it_was_interrupted(scored, monkeypatch):
    """The last of two batches is interrupted; the sums of the first are kept, and the mean is the same."""
    monkeypatch.setattr(mean, "BATCHES_A_SAVE", 1)
    summed, calls = mean.summed_sources, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no more")
        return summed(*arguments)

    monkeypatch.setattr(mean, "summed_sources", interrupted)
    with pytest.raises(RuntimeError, match="no more"):
        scored(**MEAN)
    made = mean_path(scored(**MEAN))
    assert len(calls) == 3
    assert [path.name for path in made.parent.iterdir()] == [made.name], "the unfinished sums stay behind"
    content = made.read_bytes()
    shutil.rmtree(made.parent.parent)
    assert mean_path(scored(**MEAN)).read_bytes() == content


def test_resample_ablation_is_a_corrupted_input(scored, config):
    folder = scored(ablation="resample")
    texts = sentences(config.attribution)
    assert texts.corrupted is not None
    assert_scored_as(folder, texts, jaxeap.load_model(config.base), ablation="corrupted")


def test_without_cross_text_two_cells_are_scored(config, console, tmp_path, no_figures):
    config.controls.cross_text = False
    run_pipeline(config, tmp_path, console)
    assert cells_of(tmp_path / "attribute") == (Cell("base", "base"), Cell("tuned", "tuned"))


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_batch_in_flight_changes_neither_bytes_nor_what_a_failed_write_leaves(scored, monkeypatch):
    folder = scored(ablation="resample")
    expected = shards(folder)
    assert len(expected) == 2
    shutil.rmtree(folder)
    with monkeypatch.context() as patched:
        patched.setattr(score, "one_ahead", lambda batches, start: ((batch, start(batch)) for batch in batches))
        assert shards(scored(ablation="resample")) == expected
    shutil.rmtree(folder)
    written = []

    def full_disk(*arguments):
        if written:
            raise OSError("No space left on device")
        written.append(append_shard(*arguments))

    with monkeypatch.context() as patched:
        patched.setattr(score, "append_shard", full_disk)
        with pytest.raises(OSError, match="No space left"):
            scored(ablation="resample")
    assert [path.name for path in folder.iterdir()] == ["00000.safetensors"]
    assert shards(scored(ablation="resample")) == expected


def texts_of_lengths(lengths: list[int], seed: int) -> Texts:
    rng = np.random.default_rng(seed)
    sequences = tuple(tuple(map(int, rng.integers(1, 30, length + 1))) for length in lengths)
    return Texts(tuple(f"{seed}.{n}" for n in range(len(lengths))), sequences, tuple((n - 4, n + 1) for n in lengths))


def test_nothing_is_compiled_twice_for_the_lengths_of_a_bucket(config, console, tmp_path):
    """Many lengths, two buckets: two programs, whatever is scored after; a short last batch has none of its own."""
    config.attribution.batch_size = 3
    reads = restricted(config, (*ATTRIBUTE.reads, *ATTRIBUTE.tuning))
    run, model = StageRun(reads, tmp_path, {}, console), jaxeap.load_model(config.base)
    compiled: list[str] = []

    def listen(event: str, duration: float, **about: str) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(about.get("fun_name", ""))

    def score(lengths: list[int], seed: int) -> list[str]:
        compiled.clear()
        score_rest(run, Target(tmp_path / str(seed), texts_of_lengths(lengths, seed), "text"), model, "base")
        return list(compiled)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        first = score([17, 24, 22, 20, 19, 21, 18, 23], seed=0)
        assert len([name for name in first if "eap" in name]) == 2
        # Batches of 24 and of 20 tokens again, of other lengths, another number and in another order.
        assert score([18, 18, 21, 19, 20, 23, 17, 24, 22, 17, 24], seed=1) == []
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert len(finished_questions(tmp_path / "1")) == 11
