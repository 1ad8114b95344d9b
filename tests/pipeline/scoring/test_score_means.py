import numpy as np
import pytest

from jaxeap.pipeline.scoring.score_means import mean_scores
from jaxeap.pipeline.scoring.scores import Scores, append_shard

IDS = [f"q{number}" for number in range(7)]


@pytest.fixture
def scores(tmp_path):
    """[7, 2, 3], on disk in three shards whose questions are in another order, with one more that is not asked for."""
    scores = np.random.default_rng(0).normal(size=(7, 2, 3)).astype(np.float32)
    for rows in ([5, 0], [3, 1, 6], [2, 4]):
        ids = tuple(IDS[row] for row in rows)
        ones = np.ones(len(rows), np.float32)
        append_shard(tmp_path, Scores(ids, scores[rows], ones, ones))
    append_shard(tmp_path, Scores(("other",), scores[:1] + 100, np.ones(1, np.float32), np.ones(1, np.float32)))
    return scores.astype(np.float64)


def test_means_over_all_and_over_folds(scores, tmp_path):
    folds = np.array([0, 1, 1, 0, 2, 1, 0])
    found = mean_scores(tmp_path, IDS, folds, lambda shard: shard.astype(np.float64).sum(axis=1))
    np.testing.assert_allclose(found.signed, scores.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.absolute, np.abs(scores).mean(axis=0), rtol=1e-12)
    for fold in range(3):
        np.testing.assert_allclose(found.fold_signed[fold], scores[folds == fold].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found.fold_absolute[fold], np.abs(scores[folds == fold]).mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.fold_counts, [3, 3, 1])
    np.testing.assert_allclose(found.statistics, scores.sum(axis=1), rtol=1e-12)


def test_some_questions_in_their_own_order(scores, tmp_path):
    found = mean_scores(tmp_path, ["q6", "q0"], per_example=lambda shard: shard[:, 0].astype(np.float64))
    np.testing.assert_allclose(found.signed, scores[[6, 0]].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.statistics, scores[[6, 0], 0], rtol=1e-12)


def test_a_question_without_scores_is_refused(scores, tmp_path):
    with pytest.raises(ValueError, match="no scores of 1 of 2 questions"):
        mean_scores(tmp_path, ["q0", "missing"])
