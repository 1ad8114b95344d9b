"""The difference of two runs' changes against loops over resamples written out as copies, in float64 NumPy."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.bootstrap import resample_indices
from jaxeap.metrics.change_difference import RunStatistics, change_differences
from jaxeap.metrics.contrast import headline_pairs
from jaxeap.metrics.options import MetricOptions

HEADLINE = ("intensity", "complexity", "kurtosis", "diversity")
RESAMPLES, SEED = 40, 3


def statistics(questions, base, tuned, mask):
    pairs = headline_pairs(base, tuned, mask, MetricOptions())
    return RunStatistics(tuple(questions), tuple(pair for pair in pairs if pair.measure.name in HEADLINE))


def naive_metrics(scores, drawn, upper):
    """The four metrics of copies of the drawn examples, default options."""
    copies = scores[drawn].astype(np.float64)
    counts, _ = np.histogram(np.abs(copies), bins=100, range=(0, upper))
    correlations = [
        np.corrcoef(copies[a].ravel(), copies[b].ravel())[0, 1]
        for a, b in itertools.combinations(range(len(copies)), 2)
        if drawn[a] != drawn[b]
    ]
    kurtoses = [stats.kurtosis(copy.ravel()) for copy in copies]
    return np.array([np.abs(copies).mean(), stats.entropy(counts), np.mean(kurtoses), 1 - np.mean(correlations)])


def naive_change(base, tuned, drawn):
    upper = max(np.abs(base).max(), np.abs(tuned).max())
    return naive_metrics(tuned, drawn, upper) - naive_metrics(base, drawn, upper)


@pytest.fixture
def runs(graph):
    """Two runs over eight questions each: [8, 5, 9] scores of base and tuned."""
    generator = np.random.default_rng(8)
    made = generator.standard_t(3, size=(4, 8, *graph.mask.shape)) * graph.mask
    return (made * np.array([1.0, 1.2, 1.0, 2.0])[:, None, None, None]).astype(np.float32)


@pytest.mark.parametrize(
    ("first", "second", "drawn"),
    [
        ("abcdefgh", "abcdefgh", "paired"),
        ("abcdefgh", "hxbyczuv", "partly paired"),
        ("abcdefgh", "ijklmnop", "unpaired"),
    ],
)
def test_against_a_loop_over_resamples(graph, runs, first, second, drawn):
    one_base, one_tuned, two_base, two_tuned = runs
    reference = statistics(first, one_base, one_tuned, graph.mask)
    run = statistics(second, two_base, two_tuned, graph.mask)
    found = change_differences(reference, run, RESAMPLES, SEED, 0.9)
    assert [row.name for row in found] == list(HEADLINE)

    everyone = np.arange(8)
    before, after = naive_change(one_base, one_tuned, everyone), naive_change(two_base, two_tuned, everyone)
    common = [id_ for id_ in first if id_ in second]
    strata = [common, [id_ for id_ in first if id_ not in common], [id_ for id_ in second if id_ not in common]]
    draws = [
        [] if not ids else np.concatenate(list(resample_indices(len(ids), RESAMPLES, SEED + number)))
        for number, ids in enumerate(strata)
    ]
    resampled = []
    for row in range(RESAMPLES):
        chosen = [[ids[place] for place in of[row]] if ids else [] for ids, of in zip(strata, draws, strict=True)]
        of_first = np.array([first.index(id_) for id_ in chosen[0] + chosen[1]])
        of_second = np.array([second.index(id_) for id_ in chosen[0] + chosen[2]])
        resampled.append(naive_change(two_base, two_tuned, of_second) - naive_change(one_base, one_tuned, of_first))
    low, high = np.quantile(resampled, [0.05, 0.95], axis=0)
    for place, row in enumerate(found):
        np.testing.assert_allclose([row.reference, row.change], [before[place], after[place]], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(row.difference, after[place] - before[place], rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(row.interval, (low[place], high[place]), rtol=1e-8, atol=1e-12)
        assert (row.drawn, row.common) == (drawn, len(common))
        assert json.dumps(row.to_json(0.9), allow_nan=False)


def test_common_questions_are_those_of_runs_cut_down_to_them(graph, runs):
    one_base, one_tuned, two_base, two_tuned = runs
    whole = change_differences(
        statistics("abcdefgh", one_base, one_tuned, graph.mask),
        statistics("defghxyz", two_base, two_tuned, graph.mask),
        RESAMPLES, SEED, 0.9,
    )  # fmt: skip
    assert {row.common for row in whole} == {5}
    places = [3, 4, 5, 6, 7], [0, 1, 2, 3, 4]
    cut = change_differences(
        statistics("defgh", one_base[places[0]], one_tuned[places[0]], graph.mask),
        statistics("defgh", two_base[places[1]], two_tuned[places[1]], graph.mask),
        RESAMPLES, SEED, 0.9,
    )  # fmt: skip
    for row, alone in zip(whole, cut, strict=True):
        if row.name == "complexity":  # Whose bins end at the largest score of all of a run's questions.
            continue
        np.testing.assert_allclose(row.common_difference, alone.difference, rtol=1e-10)
        np.testing.assert_allclose(row.common_interval, alone.interval, rtol=1e-10)


def test_equal_runs_differ_by_exactly_0_in_whatever_order(graph, runs):
    base, tuned = runs[:2]
    order = np.random.default_rng(0).permutation(8)
    reference = statistics("abcdefgh", base, tuned, graph.mask)
    run = statistics(["abcdefgh"[place] for place in order], base[order], tuned[order], graph.mask)
    for row in change_differences(reference, run, RESAMPLES, SEED, 0.95):
        assert (row.difference, row.interval, row.drawn) == (0.0, (0.0, 0.0), "paired")


def test_exchanged_runs_change_the_sign(graph, runs):
    one = statistics("abcdefgh", *runs[:2], graph.mask)
    two = statistics("abcdefgh", *runs[2:], graph.mask)
    forth, back = change_differences(one, two, 20, 1, 0.9), change_differences(two, one, 20, 1, 0.9)
    for row, other in zip(forth, back, strict=True):
        assert row.difference == -other.difference
        np.testing.assert_allclose(row.interval, [-end for end in other.interval[::-1]])


def test_too_few_questions_have_no_interval(graph, runs):
    one = statistics("ab", *runs[:2, :2], graph.mask)
    two = statistics("ab", *runs[2:, :2], graph.mask)
    found = {row.name: row.interval for row in change_differences(one, two, 20, 1, 0.9)}
    assert found["diversity"] is None and found["intensity"] is not None
