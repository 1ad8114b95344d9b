import numpy as np
import pytest

from jaxeap.metrics.contrast import contrast, headline_pairs
from jaxeap.metrics.enough import enough_questions, questions_needed, subset_sizes
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.options import MetricOptions

INFERENCE = InferenceOptions(resamples=300, permutations=0)


@pytest.fixture(scope="module")
def pair():
    generator = np.random.default_rng(0)
    base = generator.lognormal(size=(160, 3, 4))
    tuned = base * generator.lognormal(0.05, 0.4, size=(160, 1, 1))
    return headline_pairs(base, tuned, np.ones((3, 4), bool), MetricOptions()), base, tuned


def test_sizes_grow_to_all_questions():
    assert subset_sizes(5) == [5]
    sizes = subset_sizes(160)
    assert sizes[0] == 8 and sizes[-1] == 160 and sizes == sorted(set(sizes)) and len(sizes) == 8


def test_by_hand():
    # width 2 at 25 and 1 at 100: both are 10 / sqrt(n), which is 2 * 0.25 at n = 400
    assert questions_needed([25, 100], (2.0, 1.0), 0.25) == 400
    assert questions_needed([25, 100], (None, 1.0), 0.25) == 400
    assert questions_needed([25], (None,), 0.25) is None and questions_needed([25], (1.0,), 0.0) is None


def test_the_width_at_all_questions_is_the_intervals(pair):
    pairs, base, tuned = pair
    found = enough_questions(pairs, INFERENCE)
    assert list(found) == [p.measure.name for p in pairs]
    # the questions come in another order, so the resamples are others
    low, high = contrast(base, tuned, np.ones((3, 4), bool), resamples=2000, permutations=0)["intensity"].interval
    assert found["intensity"].width[-1] == pytest.approx(high - low, rel=0.1)
    assert found["intensity"].examples[-1] == 160
    assert found["intensity"].width[0] > 2 * found["intensity"].width[-1]


def test_needed_is_what_makes_the_interval_leave_zero_out(pair):
    pairs, base, tuned = pair
    found = enough_questions(pairs, INFERENCE)["intensity"]
    differences = tuned.mean(axis=(1, 2)) - base.mean(axis=(1, 2))
    expected = (1.96 * differences.std() / differences.mean()) ** 2
    assert found.needed == pytest.approx(expected, rel=0.4)
    asked = enough_questions(pairs, INFERENCE, half_width=0.02)["intensity"]
    assert asked.needed == pytest.approx((1.96 * differences.std() / (0.02 * base.mean())) ** 2, rel=0.4)
    assert asked.width == found.width
    with pytest.raises(ValueError, match="half_width is -1"):
        enough_questions(pairs, INFERENCE, half_width=-1)


def test_nothing_to_go_by_is_none(graph, scores):
    equal = enough_questions(headline_pairs(scores, scores.copy(), graph.mask, MetricOptions()), INFERENCE)
    assert all(found.needed is None and found.width == (0.0,) for found in equal.values())
    one = enough_questions(headline_pairs(scores[:1], scores[:1], graph.mask, MetricOptions()), INFERENCE)
    assert one["intensity"].to_json() == {"examples": [1], "width": [None], "needed": None}
