import itertools
import json

import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.bootstrap import resample_indices
from jaxeap.metrics.contrast import Contrast, contrast
from jaxeap.metrics.measures import evaluate
from jaxeap.metrics.options import MetricOptions


def naive_gini(values):
    """Mean absolute difference of all pairs over twice the mean."""
    return np.abs(values[:, None] - values[None]).mean() / (2 * values.mean())


def naive_metrics(matrices, questions, upper, mask):
    """Every metric with default options, from its formula, over a resample written out as copies."""
    matrices = matrices.astype(np.float64)
    counts, _ = np.histogram(np.abs(matrices), bins=100, range=(0, upper))
    shares = [np.abs(matrix[mask]) / np.abs(matrix[mask]).sum() for matrix in matrices]
    quantiles = [np.quantile(matrix[mask], [0.025, 0.25, 0.75, 0.975]) for matrix in matrices]
    correlations = [
        np.corrcoef(matrices[a].ravel(), matrices[b].ravel())[0, 1]
        for a, b in itertools.combinations(range(len(matrices)), 2)
        if questions[a] != questions[b]
    ]
    return {
        "intensity": np.abs(matrices).mean(),
        "complexity": stats.entropy(counts),
        "kurtosis": np.mean([stats.kurtosis(matrix.ravel()) for matrix in matrices]),
        "diversity": 1 - np.mean(correlations),
        "node_entropy": np.mean([[stats.entropy(np.abs(row)) for row in matrix] for matrix in matrices]),
        "participation_entropy": np.mean([stats.entropy(share) for share in shares]),
        "effective_edges": np.mean([np.exp(stats.entropy(share)) for share in shares]),
        "tail_index": np.median([(q[3] - q[0]) / (q[2] - q[1]) for q in quantiles]),
        "gini": np.mean([naive_gini(np.abs(matrix[mask])) for matrix in matrices]),
        "top_mass": np.mean([np.abs(matrix).max() / np.abs(matrix).sum() for matrix in matrices]),  # 1% of 23: one edge
    }


def test_values_and_intervals_against_a_loop_over_resamples(graph, scores, tuned_scores):
    result = contrast(scores, tuned_scores, graph.mask, resamples=60, seed=11, method="percentile")
    upper = max(np.abs(scores).max(), np.abs(tuned_scores).max())
    everyone = np.arange(7)
    base = naive_metrics(scores, everyone, upper, graph.mask)
    tuned = naive_metrics(tuned_scores, everyone, upper, graph.mask)
    resampled = []
    for draws in np.concatenate(list(resample_indices(7, 60, seed=11))):
        of_base = naive_metrics(scores[draws], draws, upper, graph.mask)
        of_tuned = naive_metrics(tuned_scores[draws], draws, upper, graph.mask)
        resampled.append({name: of_tuned[name] - of_base[name] for name in of_base})
    assert [metric.name for metric in result.metrics] == list(base)
    for metric in result.metrics:
        name = metric.name
        np.testing.assert_allclose(metric.base, base[name], rtol=1e-11)
        np.testing.assert_allclose(metric.tuned, tuned[name], rtol=1e-11)
        assert metric.difference == metric.tuned - metric.base
        np.testing.assert_allclose(metric.relative_change, (tuned[name] - base[name]) / abs(base[name]), rtol=1e-9)
        expected = np.quantile([differences[name] for differences in resampled], [0.025, 0.975])
        np.testing.assert_allclose(metric.interval, expected, rtol=1e-9, atol=1e-12, err_msg=name)
        assert metric.examples == 7 and metric.method == "percentile"


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intensity_interval_against_scipys_paired_bootstrap(method):
    generator = np.random.default_rng(2)
    base = generator.exponential(size=(80, 1, 6))
    tuned = base + generator.normal(0.1, 0.5, size=base.shape)
    mask = np.ones((1, 6), bool)
    found = contrast(base, tuned, mask, resamples=20_000, method=method, permutations=0)["intensity"]
    ours = found.interval
    assert (found.method, found.p_value) == (method, None)
    per_question = np.abs(base).mean(axis=(1, 2)), np.abs(tuned).mean(axis=(1, 2))
    theirs = stats.bootstrap(
        per_question,
        lambda b, t, axis: t.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method=method,
        rng=np.random.default_rng(9),
    ).confidence_interval
    np.testing.assert_allclose(ours, (theirs.low, theirs.high), atol=0.03 * (theirs.high - theirs.low))


def test_equal_models_differ_by_exactly_nothing(graph, scores):
    for options in (MetricOptions(), MetricOptions(entries="edges", bin_range="per_model", correlation="absolute")):
        for metric in contrast(scores, scores.copy(), graph.mask, options, resamples=700).metrics:
            assert metric.difference == 0 and metric.relative_change == 0 and metric.interval == (0, 0), metric.name
            assert metric.p_value == 1 and metric.effect_size is None, metric.name


def test_exchanging_the_models_turns_the_sign(graph, scores, tuned_scores):
    forth = contrast(scores, tuned_scores, graph.mask, resamples=200)
    back = contrast(tuned_scores, scores, graph.mask, resamples=200)
    for a, b in zip(forth.metrics, back.metrics, strict=True):
        assert (a.base, a.tuned, a.difference) == (b.tuned, b.base, -b.difference)
        np.testing.assert_allclose(a.interval, (-b.interval[1], -b.interval[0]), rtol=1e-9)
        assert a.p_value == b.p_value and a.method == b.method
        np.testing.assert_allclose(a.effect_size, -b.effect_size, rtol=1e-9)


def test_relative_change_has_the_sign_of_the_difference_where_base_is_negative():
    values = np.linspace(-1, 1, 40)[None, None].repeat(2, axis=0)  # flatter than a normal distribution
    kurtosis = contrast(values, values**3, np.ones((1, 40), bool), resamples=5)["kurtosis"]
    assert kurtosis.base < 0 < kurtosis.difference
    np.testing.assert_allclose(kurtosis.relative_change, kurtosis.difference / -kurtosis.base, rtol=1e-12)


def test_the_histogram_range_decides_whether_complexity_sees_scale(graph, scores):
    shared = contrast(scores, 2 * scores, graph.mask, resamples=200)
    own = contrast(scores, 2 * scores, graph.mask, MetricOptions(bin_range="per_model"), resamples=200)
    assert own["complexity"].difference == 0 and own["complexity"].interval == (0, 0)
    assert shared["complexity"].difference > 0.1
    np.testing.assert_allclose(shared["intensity"].relative_change, 1, rtol=1e-12)
    assert shared["kurtosis"].interval == pytest.approx((0, 0), abs=1e-12)


def test_with_a_range_of_its_own_each_model_measures_as_alone(graph, scores, tuned_scores):
    result = contrast(scores, tuned_scores, graph.mask, MetricOptions(bin_range="per_model"), resamples=10)
    options = MetricOptions(bin_range="per_model")
    assert {m.name: m.base for m in result.metrics} == evaluate(scores, graph.mask, options)
    assert {m.name: m.tuned for m in result.metrics} == evaluate(tuned_scores, graph.mask, options)


def test_pairing_by_question_narrows_the_interval():
    generator = np.random.default_rng(4)
    hardness = generator.lognormal(size=(60, 1, 1))  # some questions stir both models more
    base = hardness * generator.exponential(size=(1, 3, 4))
    mask = np.ones((3, 4), bool)
    paired = contrast(base, 1.1 * base, mask)["intensity"]
    mixed = contrast(base, 1.1 * generator.permutation(base), mask)["intensity"]
    np.testing.assert_allclose(mixed.difference, paired.difference, rtol=1e-12)
    width = {metric: metric.interval[1] - metric.interval[0] for metric in (paired, mixed)}
    assert width[paired] < 0.3 * width[mixed]
    assert paired.interval[0] > 0 > mixed.interval[0]


def test_the_interval_narrows_with_the_root_of_the_number_of_questions():
    generator = np.random.default_rng(8)
    mask = np.ones((1, 3), bool)
    base = generator.exponential(size=(400, 1, 3))
    tuned = base + generator.normal(size=(400, 1, 1)) ** 2
    metric = contrast(base, tuned, mask)["intensity"]
    spread = np.std(tuned.mean(axis=(1, 2)) - base.mean(axis=(1, 2)), ddof=1) / np.sqrt(400)
    np.testing.assert_allclose(metric.interval[1] - metric.interval[0], 2 * 1.96 * spread, rtol=0.05)


def test_a_question_without_a_value_in_one_model_counts_in_neither(graph, scores, tuned_scores):
    silent = tuned_scores.copy()
    silent[4] = 0
    result = contrast(scores, silent, graph.mask, MetricOptions(bin_range="per_model"), resamples=300)
    others = np.delete(np.arange(7), 4)
    expected = contrast(scores[others], silent[others], graph.mask, resamples=300)
    for name in (
        "kurtosis",
        "diversity",
        "node_entropy",
        "participation_entropy",
        "effective_edges",
        "tail_index",
        "gini",
    ):
        assert result[name].examples == 6
        np.testing.assert_allclose([result[name].base, result[name].tuned], [expected[name].base, expected[name].tuned])
        assert result[name].interval is not None
    assert result["intensity"].examples == result["complexity"].examples == 7


def test_few_questions_give_no_interval_and_no_nan(graph, scores, tuned_scores):
    one = contrast(scores[:1], tuned_scores[:1], graph.mask, resamples=50)
    assert all(metric.interval is None for metric in one.metrics)
    assert one["diversity"].base is None and one["diversity"].difference is None
    assert one["intensity"].difference is not None
    two = contrast(scores[:2], tuned_scores[:2], graph.mask, resamples=50)
    assert two["diversity"].difference is not None and two["diversity"].interval is None
    assert two["kurtosis"].interval is not None
    three = contrast(scores[:3], tuned_scores[:3], graph.mask, resamples=50)
    assert np.isfinite(three["diversity"].interval).all()  # though some resamples hold one question only
    silent = contrast(np.zeros_like(scores), np.zeros_like(scores), graph.mask, resamples=50)
    assert silent["intensity"].difference == 0 and silent["intensity"].relative_change is None
    for result in (one, two, three, silent):
        json.dumps(result.to_json(), allow_nan=False)


def test_json_round_trip(graph, scores, tuned_scores):
    result = contrast(scores, tuned_scores, graph.mask, MetricOptions(bins=50), resamples=50, seed=3, confidence=0.9)
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert Contrast.from_json(content) == result
    assert content["options"]["bins"] == 50
    low, high = result["intensity"].interval
    row = content["metrics"]["intensity"]
    assert row["interval"] == {"low": low, "high": high, "confidence": 0.9, "method": "bca"}
    assert row["metric"] == "intensity" and row["p_value"] == result["intensity"].p_value


def test_an_unknown_metric_is_named(graph, scores):
    with pytest.raises(KeyError, match="no metric 'sparsity'; there are intensity, complexity"):
        contrast(scores, scores, graph.mask, resamples=1)["sparsity"]


def test_bad_input_is_refused(graph, scores, tuned_scores):
    with pytest.raises(ValueError, match="base has 6 examples and tuned has 7"):
        contrast(scores[:6], tuned_scores, graph.mask)
    with pytest.raises(ValueError, match="base scores hold no examples"):
        contrast(scores[:0], tuned_scores[:0], graph.mask)
    with pytest.raises(ValueError, match="confidence is 95"):
        contrast(scores, tuned_scores, graph.mask, confidence=95)
    tuned_scores[1, 0, 2] = np.inf
    with pytest.raises(ValueError, match="tuned scores hold inf at example 1"):
        contrast(scores, tuned_scores, graph.mask)
