"""Two circuits worked by hand, identities, and chance by counting every pair of sets."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.stats

from jaxeap.metrics.circuit_contrast import (
    chance_jaccard,
    changes_of,
    circuit_nodes,
    halves_overlap,
    jaccard,
    listed_changes,
    node_strengths,
    overlap,
    rank_correlation,
    ruzicka,
)

BASE = np.array([[4.0, 2.0, 1.0, 0.5], [0.0, 8.0, 3.0, 0.25]])
TUNED = np.array([[4.0, 3.0, 0.5, 2.0], [0.0, 1.0, 6.0, 0.75]])
IN_BASE = np.array([[1, 1, 1, 0], [0, 1, 0, 0]], bool)
IN_TUNED = np.array([[1, 1, 0, 1], [0, 1, 1, 0]], bool)
EDGES = 7


def test_two_circuits_worked_by_hand():
    found = overlap(BASE, TUNED, IN_BASE, IN_TUNED, EDGES)
    assert (found.base, found.tuned, found.kept) == (4, 5, 3)
    assert (found.appear, found.vanish, found.strengthen, found.weaken) == (2, 1, 1, 1)  # 4 -> 4 is neither
    assert found.jaccard == 3 / 6
    # pairs over the union: (4, 4), (2, 3), (1, 0), (0, 2), (8, 1), (0, 6)
    assert found.weighted_overlap == (4 + 2 + 1) / (4 + 3 + 1 + 2 + 8 + 6)
    shares = [(4 / 15, 4 / 16), (2 / 15, 3 / 16), (1 / 15, 0), (0, 2 / 16), (8 / 15, 1 / 16), (0, 6 / 16)]
    expected = sum(map(min, shares)) / sum(map(max, shares))
    assert found.pattern_overlap == pytest.approx(expected, rel=1e-14)
    # kept: base 4, 2, 8 rank 2, 1, 3; tuned 4, 3, 1 rank 3, 2, 1; sum of squared rank differences 1 + 1 + 4
    assert found.rank_correlation == pytest.approx(1 - 6 * 6 / (3 * 8), rel=1e-14)


def test_changes_are_told_apart_edge_by_edge():
    changes = changes_of(BASE, TUNED, IN_BASE, IN_TUNED)
    assert {name: np.argwhere(members).tolist() for name, members in changes.items()} == {
        "appear": [[0, 3], [1, 2]],
        "vanish": [[0, 2]],
        "strengthen": [[0, 1]],
        "weaken": [[1, 1]],
        "unchanged": [[0, 0]],
    }
    listed = listed_changes(changes, BASE, TUNED)
    assert listed["appear"] == [
        {"row": 1, "column": 2, "base": 3.0, "tuned": 6.0},
        {"row": 0, "column": 3, "base": 0.5, "tuned": 2.0},
    ]


def test_nodes_carry_what_leaves_them_within_the_circuit():
    np.testing.assert_array_equal(node_strengths(BASE, IN_BASE), [7.0, 8.0])
    np.testing.assert_array_equal(node_strengths(TUNED, IN_TUNED), [9.0, 7.0])
    np.testing.assert_array_equal(circuit_nodes(IN_BASE & (BASE > 4)), [False, True])
    nodes = changes_of(np.array([7.0, 8.0]), np.array([9.0, 7.0]), np.array([True, True]), np.array([True, False]))
    listed = listed_changes(nodes, np.array([7.0, 8.0]), np.array([9.0, 7.0]), ("a", "b"))
    assert listed["strengthen"] == [{"node": "a", "base": 7.0, "tuned": 9.0}]
    assert listed["vanish"] == [{"node": "b", "base": 8.0, "tuned": 7.0}]


def test_a_circuit_is_itself():
    found = overlap(BASE, BASE, IN_BASE, IN_BASE, EDGES)
    assert (found.appear, found.vanish, found.strengthen, found.weaken) == (0, 0, 0, 0)
    assert (found.kept, found.jaccard, found.weighted_overlap, found.pattern_overlap) == (4, 1.0, 1.0, 1.0)
    assert found.rank_correlation == pytest.approx(1.0)


def test_exchanged_models_exchange_what_appears_and_vanishes():
    one, other = overlap(BASE, TUNED, IN_BASE, IN_TUNED, EDGES), overlap(TUNED, BASE, IN_TUNED, IN_BASE, EDGES)
    exchanged = dataclasses.replace(
        other,
        base=other.tuned,
        tuned=other.base,
        appear=other.vanish,
        vanish=other.appear,
        strengthen=other.weaken,
        weaken=other.strengthen,
        chance=one.chance,
    )
    assert one == exchanged
    assert one.chance == pytest.approx(other.chance, rel=1e-14)


def test_a_common_factor_changes_the_weighted_overlap_alone():
    doubled = overlap(BASE, 2 * BASE, IN_BASE, IN_BASE, EDGES)
    assert (doubled.weighted_overlap, doubled.pattern_overlap, doubled.jaccard) == (0.5, 1.0, 1.0)
    assert doubled.strengthen == 4


@pytest.mark.parametrize(("base", "tuned", "edges"), [(2, 2, 5), (3, 1, 4), (4, 3, 5), (0, 2, 4), (5, 5, 5)])
def test_chance_by_counting_all_pairs_of_sets(base, tuned, edges):
    values = [
        len({*one} & {*other}) / len({*one} | {*other})
        for one in itertools.combinations(range(edges), base)
        for other in itertools.combinations(range(edges), tuned)
    ]
    expected, low, high = chance_jaccard(base, tuned, edges)
    assert expected == pytest.approx(np.mean(values), rel=1e-12)
    assert low <= expected <= high
    assert np.mean([low <= value <= high for value in values]) >= 0.95


def test_chance_interval_leaves_out_what_is_rare():
    expected, low, high = chance_jaccard(50, 50, 1000)
    overlaps = np.random.default_rng(0).hypergeometric(50, 950, 50, size=20_000)
    indices = overlaps / (100 - overlaps)
    assert expected == pytest.approx(indices.mean(), abs=0.0005)
    assert 0.93 < np.mean((indices >= low) & (indices <= high)) < 0.995
    assert np.mean(indices > high) < 0.026


def test_what_has_no_value_is_none():
    nothing = np.zeros_like(IN_BASE)
    found = overlap(BASE, TUNED, nothing, nothing, EDGES)
    assert (found.jaccard, found.chance, found.weighted_overlap, found.rank_correlation) == (None,) * 4
    assert jaccard(nothing, nothing) is None
    assert chance_jaccard(0, 0, 5) is None
    assert ruzicka(np.zeros(3), np.zeros(3)) is None
    assert rank_correlation(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None
    assert rank_correlation(np.ones(4), np.arange(4.0)) is None


def test_rank_correlation_has_ties_as_scipy_has_them():
    rng = np.random.default_rng(0)
    first, second = rng.integers(5, size=40).astype(float), rng.integers(5, size=40).astype(float)
    expected = np.corrcoef(scipy.stats.rankdata(first), scipy.stats.rankdata(second))[0, 1]
    assert rank_correlation(first, second) == pytest.approx(expected, rel=1e-12)


def test_halves_of_questions_worked_by_hand():
    a, b, c = (np.array(members, bool) for members in ([1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0]))
    found = halves_overlap([(a, b, c, a), (a, a, b, c)])
    assert found.within_base == pytest.approx((1 / 3 + 1) / 2)
    assert found.within_tuned == pytest.approx((2 / 3 + 2 / 3) / 2)
    # base's first half with tuned's second, base's second with tuned's first: (a, a), (b, c); (a, c), (a, b)
    assert found.between == pytest.approx((1 + 2 / 3 + 2 / 3 + 1 / 3) / 4)
    assert found.splits == 2


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="different graphs"):
        overlap(BASE, TUNED[:1], IN_BASE, IN_TUNED, EDGES)
    with pytest.raises(ValueError, match="tuned circuit has a strength that is negative"):
        overlap(BASE, -TUNED, IN_BASE, IN_TUNED, EDGES)
    with pytest.raises(ValueError, match="4 and 5 edges do not fit into a graph of 4"):
        overlap(BASE, TUNED, IN_BASE, IN_TUNED, 4)
