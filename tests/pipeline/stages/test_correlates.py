"""Associations of all answers, right and wrong: what is drawn, what is scored anew, and the numbers."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.scoring.scores import read_scores
from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages import STAGES
from jaxeap.pipeline.stages.attribute import nodes_of
from jaxeap.pipeline.stages.correlates import (
    CORRELATES_STAGE,
    COVARIATES,
    STATISTICS,
    TERMS,
    correlate,
    correlates_of,
    cut,
    draw,
)
from jaxeap.pipeline.stages.grade import verdicts_of
from jaxeap.pipeline.stages.respond import responses_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import write_json
from jaxeap.tasks.grading import Verdict, write_verdicts
from jaxeap.tasks.responses import Response, write_responses


@pytest.fixture
def graded_by_number(monkeypatch: pytest.MonkeyPatch):
    """Random models answer nothing rightly; here every second answer of base, every third of tuned is called right."""

    def grade(run: StageRun) -> None:
        for role, step in (("base", 2), ("tuned", 3)):
            responses = responses_of(run.inputs["respond"], role)
            verdicts = [Verdict(r.question_id, number % step == 0, "") for number, r in enumerate(responses)]
            write_verdicts(run.folder / f"{role}.jsonl", verdicts)
        write_json(run.folder / "summary.json", {})

    stages = tuple(dataclasses.replace(stage, make=grade) if stage.name == "grade" else stage for stage in STAGES)
    monkeypatch.setattr("jaxeap.pipeline.runner.STAGES", stages)


def test_answers_of_all_classes_are_scored_and_correlated(config, console, tmp_path, no_figures, graded_by_number):
    config.selection.correctness = "both_right"
    config.correlates.resamples = 40
    config.contrast.breakdowns = ()
    run_pipeline(config, tmp_path / "w", console)
    workdir = tmp_path / "w"
    found = correlates_of(workdir / "correlates")
    selection = selection_of(workdir / "select")
    assert len(selection.question_ids) == 2
    assert found["questions"] == 11
    assert found["classes"] == {"both_right": 2, "both_wrong": 3, "only_base_right": 4, "only_tuned_right": 2}
    json.dumps(found, allow_nan=False)

    ids = [verdict.question_id for verdict in verdicts_of(workdir / "grade", "base")]
    mask = nodes_of(workdir / "attribute").mask
    rows = {(row["role"], row["statistic"], row["covariate"]): row for row in found["associations"]}
    assert set(rows) == {(role, s, c) for role in ("base", "tuned") for s in STATISTICS for c in COVARIATES}
    for role in ("base", "tuned"):
        folder = f"{role}_on_{role}_text"
        scores = read_scores(workdir / "correlates" / folder, ids)
        old = read_scores(workdir / "attribute" / folder, selection.question_ids)
        places = [ids.index(id_) for id_ in selection.question_ids]
        np.testing.assert_array_equal(scores.scores[places], old.scores)
        flat = scores.scores.reshape(11, -1).astype(np.float64)
        assert flat.shape[1] == mask.size
        correlations = np.corrcoef(flat)
        values = {
            "diversity": 1 - (correlations.sum(axis=1) - 1) / 10,
            "intensity": np.abs(flat).mean(axis=1),
        }
        right = np.array([v.correct for v in verdicts_of(workdir / "grade", role)], float)
        length = np.array([len(r.answer_tokens) for r in responses_of(workdir / "respond", role)], float)
        for statistic, covariate, other in (
            ("diversity", "correct", right),
            ("intensity", "correct", right),
            ("diversity", "loss", scores.loss),
            ("intensity", "loss", scores.loss),
            ("intensity", "length", length),
        ):
            row = rows[role, statistic, covariate]
            if not np.ptp(other):
                assert row["spearman"] is None and row["interval"] is None
                continue
            expected = stats.spearmanr(values[statistic], other).statistic
            np.testing.assert_allclose(row["spearman"], expected, atol=1e-12)
            assert row["examples"] == 11
            assert row["interval"]["low"] <= row["interval"]["high"]
        terms = [row for row in found["logistic"] if row["role"] == role]
        assert [row["term"] for row in terms] == ["intercept", *TERMS]
        assert all(row["coefficient"] is None or np.isfinite(row["coefficient"]) for row in terms)
        assert terms[1]["coefficient"] is not None
    means = [row for row in found["by_class"] if row["role"] == "base" and row["statistic"] == "intensity"]
    assert sum(row["examples"] for row in means) == 11


def answers(*lengths: int) -> dict[str, Response]:
    return {
        f"q{number}": Response(f"q{number}", (7, 8), tuple(range(10, 10 + length)), "", True)
        for number, length in enumerate(lengths)
    }


def test_the_draw_is_seeded_and_leaves_out_empty_answers():
    base, tuned = answers(3, 0, 2, 4, 5, 6), answers(3, 2, 2, 0, 5, 6)
    assert draw(base, tuned, 100, 0) == ["q0", "q2", "q4", "q5"]
    assert draw(base, tuned, 2, 1) == draw(base, tuned, 2, 1)
    assert len({tuple(draw(base, tuned, 2, seed)) for seed in range(20)}) > 1
    assert draw(base, tuned, 0, 0) == []


def test_answers_are_cut_as_the_selection_cuts():
    (response,) = answers(5).values()
    assert (cut(response, 3).tokens, cut(response, 3).start, cut(response, 3).stop) == ((7, 8, 10, 11, 12), 2, 5)
    assert cut(response, 9).stop == 7


def test_zero_questions_switch_it_off(config, console, tmp_path):
    config.correlates.max_questions = 0
    folder, answered = tmp_path / "correlates", tmp_path / "respond"
    folder.mkdir()
    for role in ("base", "tuned"):
        write_responses(answered / f"{role}.jsonl", answers(2, 3).values())
    settings = restricted(config, (*CORRELATES_STAGE.reads, *CORRELATES_STAGE.tuning))
    correlate(StageRun(settings, folder, {"respond": answered}, console))
    assert [path.name for path in folder.rglob("*")] == ["correlates.json"]
    assert correlates_of(folder) == {"questions": 0, "classes": {}, "associations": [], "logistic": []}
