"""What exchanging two models within questions does, against scores that were really exchanged and measured again."""

import numpy as np
import pytest

from jaxeap.metrics.compare import compare
from jaxeap.metrics.contrast import contrast, headline_pairs
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.measures import measures
from jaxeap.metrics.options import MetricOptions

SIGNS = np.array([[1, 1, 1, 1, 1, 1, 1], [-1, 1, 1, -1, 1, -1, 1], [-1, -1, -1, -1, -1, -1, -1]], float)


@pytest.mark.parametrize("options", [MetricOptions(), MetricOptions(entries="edges", correlation="absolute")])
def test_statistics_exchanged_are_scores_exchanged(graph, scores, tuned_scores, options):
    pairs = headline_pairs(scores, tuned_scores, graph.mask, options)
    assert [pair.measure.name for pair in pairs] == [measure.name for measure in measures(options, 1.0)]
    for signs in SIGNS:
        stays = (signs > 0)[:, None, None]
        mixed = np.where(stays, scores, tuned_scores), np.where(stays, tuned_scores, scores)
        expected = contrast(*mixed, graph.mask, options, resamples=1, permutations=0)
        for pair in pairs:
            found = pair.measure.swap(pair.base, pair.tuned, pair.cross, signs[None])[0]
            name = pair.measure.name
            np.testing.assert_allclose(found, expected[name].difference, rtol=1e-9, atol=1e-13, err_msg=name)


def test_p_values_are_the_share_of_all_exchanges(graph, scores, tuned_scores):
    options, inference = MetricOptions(), InferenceOptions(resamples=1, permutations=32)
    scores, tuned_scores = scores[:5], tuned_scores[:5]
    everything = np.array(np.meshgrid(*[[1.0, -1.0]] * 5)).reshape(5, -1).T
    differences = {}
    for signs in everything:
        stays = (signs > 0)[:, None, None]
        mixed = np.where(stays, scores, tuned_scores), np.where(stays, tuned_scores, scores)
        for row in contrast(*mixed, graph.mask, options, resamples=1, permutations=0).metrics:
            differences.setdefault(row.name, []).append(row.difference)
    for row in compare(headline_pairs(scores, tuned_scores, graph.mask, options), inference):
        values = np.abs(differences[row.name])
        assert row.p_value == (values >= abs(row.difference) * (1 - 1e-9)).mean(), row.name


def test_pairs_of_questions_need_the_correlations_between_the_models(graph, scores, tuned_scores):
    (pair,) = [p for p in headline_pairs(scores, tuned_scores, graph.mask, MetricOptions()) if p.cross is not None]
    with pytest.raises(ValueError, match="correlations between the models"):
        pair.measure.swap(pair.base, pair.tuned, None, SIGNS)
