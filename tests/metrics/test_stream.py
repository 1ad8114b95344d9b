"""Statistics shard by shard: equal to those in memory, within a bound of memory, and every example once."""

import itertools
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.breakdown import break_down_entries
from jaxeap.metrics.contrast import contrast, contrast_of_pairs, headline_pairs
from jaxeap.metrics.diversity import (
    correlation_matrix,
    diversity,
    diversity_per_example,
    standardised,
    stream_correlations,
    streamed_diversity,
)
from jaxeap.metrics.edges import edge_contrast
from jaxeap.metrics.entry_groups import entry_groups
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.layer_intensity import layer_intensity
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.stream import ScoreStream, check_stream, per_example


def in_shards(scores: np.ndarray, *order: tuple[int, ...]) -> ScoreStream:
    """Shards of the given examples, in the given order."""
    return ScoreStream(len(scores), lambda: ((np.array(places), scores[list(places)]) for places in order))


SHARDS = ((5, 0), (3,), (1, 6, 2), (4,))
OTHERS = ((0, 1, 2, 3), (6, 5, 4))


def test_the_contrast_of_shards_is_that_of_the_whole(graph, scores, tuned_scores):
    scores[4] = 0  # an example without a value in most metrics
    whole = contrast(scores, tuned_scores, graph.mask, resamples=200, permutations=100)
    parts = contrast(
        in_shards(scores, *SHARDS), in_shards(tuned_scores, *OTHERS), graph.mask, resamples=200, permutations=100
    )
    for one, other in zip(whole.metrics, parts.metrics, strict=True):
        assert (one.name, one.examples, one.method, one.p_value) == (
            other.name,
            other.examples,
            other.method,
            other.p_value,
        )
        for field in ("base", "tuned", "difference", "interval", "effect_size"):
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-9, atol=1e-14)


def test_layers_breakdowns_and_edges_of_shards_are_those_of_the_whole(graph, scores, tuned_scores):
    base, tuned = in_shards(scores, *SHARDS), in_shards(tuned_scores, *OTHERS)
    for one, other in zip(
        layer_intensity(scores, tuned_scores, graph.mask, graph.destinations, resamples=50),
        layer_intensity(base, tuned, graph.mask, graph.destinations, resamples=50),
        strict=True,
    ):
        np.testing.assert_allclose(one.difference_interval, other.difference_interval, rtol=1e-12)
    groups = entry_groups(graph.mask, graph.sources, graph.destinations)
    settings = (graph.mask, groups, MetricOptions(), InferenceOptions(resamples=50, permutations=50))
    one, other = break_down_entries(scores, tuned_scores, *settings), break_down_entries(base, tuned, *settings, 300)
    for kind in groups:
        for a, b in zip(one[kind], other[kind], strict=True):
            assert (a.member, a.row.name, a.q_value) == (b.member, b.row.name, b.q_value)
            if a.row.difference is not None:
                np.testing.assert_allclose(a.row.difference, b.row.difference, rtol=1e-9, atol=1e-14)
    for memory in (2**20, 7 * 16 * 3, 1):  # all edges at once, three at a time, one at a time
        of_parts = edge_contrast(base, tuned, graph.mask, memory_bytes=memory).arrays()
        for name, matrix in edge_contrast(scores, tuned_scores, graph.mask).arrays().items():
            np.testing.assert_array_equal(matrix, of_parts[name], err_msg=name)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("entries", ["all", "edges"])
def test_correlations_do_not_depend_on_how_many_are_kept(graph, scores, tuned_scores, rows, entries):
    def standardise(shard):
        return standardised(shard, graph.mask, entries)

    scores[3] = 0
    width = standardise(scores).shape[1]
    found = stream_correlations(in_shards(scores, *SHARDS), standardise, width, memory_bytes=8 * width * rows)
    np.testing.assert_allclose(found, correlation_matrix(scores, graph.mask, entries), atol=1e-15)
    np.testing.assert_array_equal(np.isnan(found[3]), True)
    cross = stream_correlations(
        in_shards(tuned_scores, *OTHERS),
        standardise,
        width,
        other=in_shards(scores, *SHARDS),
        memory_bytes=8 * width * rows,
    )
    for tuned, base in itertools.product((0, 3, 6), (1, 2, 5)):
        flat = [s.ravel() if entries == "all" else s[graph.mask] for s in (tuned_scores[tuned], scores[base])]
        np.testing.assert_allclose(cross[tuned, base], stats.pearsonr(*flat).statistic, rtol=1e-5)
    assert np.isnan(cross[:, 3]).all() and np.isfinite(np.delete(cross, 3, axis=1)).all()


def test_the_readings_are_as_many_as_announced(graph, scores):
    readings = 0

    def shards():
        nonlocal readings
        readings += 1
        return ((np.array([place]), scores[[place]]) for place in range(7))

    width = 45
    stream_correlations(
        ScoreStream(7, shards), lambda s: standardised(s, graph.mask), width, memory_bytes=8 * width * 3
    )
    assert readings == 2 * 3  # parts of 3, 3 and 1


def test_diversity_by_the_sum_of_vectors(graph, scores):
    scores[2] = 0
    found = streamed_diversity(in_shards(scores, *SHARDS), lambda shard: standardised(shard, graph.mask))
    correlations = np.delete(np.delete(correlation_matrix(scores, graph.mask), 2, axis=0), 2, axis=1)
    np.testing.assert_allclose(found, diversity(correlations, np.ones((1, 6)))[0], rtol=1e-12)
    each = diversity_per_example(correlation_matrix(scores, graph.mask))
    assert np.isnan(each[2])
    np.testing.assert_allclose(np.nanmean(each), found, rtol=1e-12)
    np.testing.assert_allclose(each[0], 1 - np.mean(correlations[0, 1:]), rtol=1e-12)
    assert np.isnan(streamed_diversity(in_shards(scores[:1], (0,)), lambda shard: standardised(shard, graph.mask)))


def test_many_examples_need_the_memory_of_few():
    """200 examples of 12,000 entries in two models, 19.2 MB as float32: made shard by shard, and forgotten."""
    count, width, size = 200, 12_000, 8
    mask = np.ones((1, width), bool)
    noise = np.random.default_rng(0).standard_normal(width + 7 * count, np.float32)

    def stream(scale: float) -> ScoreStream:
        def shards():
            for start in range(0, count, size):
                places = np.arange(start, start + size)
                yield places, np.stack([noise[7 * place : 7 * place + width] for place in places])[:, None] * scale

        return ScoreStream(count, shards)

    base, tuned, options = stream(np.float32(1)), stream(np.float32(1.5)), MetricOptions()
    tracemalloc.start()
    try:
        pairs = headline_pairs(base, tuned, mask, options, memory_bytes=25 * 8 * width)
        found = contrast_of_pairs(pairs, options, InferenceOptions(resamples=20, permutations=20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        edges = edge_contrast(base, tuned, mask, memory_bytes=2**20)
        edge_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert max(peak, edge_peak) < 2 * 4 * count * width * 0.6, (peak, edge_peak)
    np.testing.assert_allclose(found["intensity"].relative_change, 0.5, rtol=1e-6)
    np.testing.assert_allclose(found["diversity"].base, 1, atol=1e-3)
    np.testing.assert_allclose(np.nanmean(edges.difference), 0.5 * np.sqrt(2 / np.pi), rtol=1e-2)


def test_statistics_lie_at_their_examples_places(scores):
    sums, shapes = per_example(in_shards(scores, *SHARDS), [lambda s: s.sum(axis=(1, 2)), lambda s: s[:, 0, :2]])
    np.testing.assert_array_equal(sums, scores.sum(axis=(1, 2)))
    np.testing.assert_array_equal(shapes, scores[:, 0, :2])


def test_examples_that_are_missing_or_double_are_named(graph, scores):
    with pytest.raises(ValueError, match="tuned scores hold example 4 0 times"):
        check_stream(in_shards(scores, (0, 1, 2, 3), (5, 6)), graph.mask, "tuned")
    with pytest.raises(ValueError, match="base scores hold example 2 2 times"):
        check_stream(in_shards(scores, (0, 1, 2, 3, 4), (2, 5, 6)), graph.mask, "base")
    scores[6, 1, 5] = np.nan
    with pytest.raises(ValueError, match="base scores hold nan at example 6, source 1, destination 5"):
        check_stream(in_shards(scores, *SHARDS), graph.mask, "base")
