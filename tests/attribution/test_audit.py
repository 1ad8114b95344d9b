"""The audit against exact effects of the whole graph, and where the answer is known beforehand."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats

import jaxeap
from jaxeap.attribution.audit import agreement, stratified_sample
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph
from tests.attribution.tiny import TinyModel


@pytest.fixture(scope="module")
def exact(tiny: TinyModel, batch: Batch) -> jaxeap.AttributionResult:
    return jaxeap.attribute(tiny.model, batch, method="exact", ablation="corrupted")


def test_a_result_that_is_exact_agrees_with_itself(tiny: TinyModel, batch: Batch, exact: jaxeap.AttributionResult):
    audit = jaxeap.audit(tiny.model, batch, exact, edges=20)
    for estimate in (audit.spearman, audit.pearson, audit.sign_agreement, audit.slope):
        assert estimate.value == pytest.approx(1, abs=1e-4)
        assert estimate.interval == pytest.approx((1, 1), abs=1e-3)


def test_scaled_and_reversed_scores_are_seen(tiny: TinyModel, batch: Batch, exact: jaxeap.AttributionResult):
    reversed_result = dataclasses.replace(exact, scores=-2 * exact.scores)
    audit = jaxeap.audit(tiny.model, batch, reversed_result, edges=20)
    assert audit.pearson.value == pytest.approx(-1, abs=1e-4)
    assert audit.slope.value == pytest.approx(-0.5, abs=1e-4)
    assert audit.sign_agreement.value == pytest.approx(0, abs=1e-6)


def test_statistics_over_all_edges_are_scipys(tiny: TinyModel, batch: Batch, exact: jaxeap.AttributionResult):
    result = jaxeap.attribute(tiny.model, batch, ablation="corrupted")
    audit = jaxeap.audit(tiny.model, batch, result, edges=10_000)
    rows, columns = np.nonzero(result.graph.mask)
    assert len(audit.edges) == result.graph.num_edges
    score = np.asarray(result.scores, np.float64)[:, rows, columns].mean(axis=0)
    effect = np.asarray(exact.scores, np.float64)[:, rows, columns].mean(axis=0)
    assert audit.spearman.value == pytest.approx(scipy.stats.spearmanr(score, effect).statistic, abs=1e-3)
    assert audit.pearson.value == pytest.approx(scipy.stats.pearsonr(score, effect).statistic, abs=1e-3)
    assert audit.slope.value == pytest.approx(score @ effect / (score @ score), abs=1e-3)
    has_effect = effect != 0
    errors = np.abs(score - effect)[has_effect] / np.abs(effect)[has_effect]
    assert audit.median_relative_error.value == pytest.approx(np.median(errors), rel=1e-2)
    for estimate in (audit.spearman, audit.pearson, audit.slope, audit.median_relative_error):
        low, high = estimate.interval
        assert low <= estimate.value <= high


def test_agreement_and_its_intervals_against_a_loop():
    rng = np.random.default_rng(0)
    edges, scores = np.argwhere(np.ones((3, 4), bool)), rng.normal(size=(5, 12))
    effects = scores + 0.5 * rng.normal(size=(5, 12))
    effects[:, 2] = 0
    found = agreement(edges, scores, effects, seed=4, resamples=60)
    score, effect = scores.mean(axis=0), effects.mean(axis=0)
    resampled = {"pearson": [], "spearman": [], "slope": [], "median_relative_error": []}
    for draw in np.random.default_rng([4, 1]).integers(12, size=(60, 12)):
        a, b = score[draw], effect[draw]
        resampled["pearson"].append(scipy.stats.pearsonr(a, b).statistic)
        resampled["spearman"].append(scipy.stats.spearmanr(a, b).statistic)
        resampled["slope"].append(a @ b / (a @ a))
        resampled["median_relative_error"].append(np.median((np.abs(a - b) / np.abs(b))[b != 0]))
    for name, values in resampled.items():
        np.testing.assert_allclose(getattr(found, name).interval, np.quantile(values, [0.025, 0.975]), rtol=1e-9)


def test_edges_without_any_effect_have_no_relative_error():
    edges = np.argwhere(np.ones((2, 2), bool))
    assert agreement(edges, np.ones((3, 4)), np.zeros((3, 4))).median_relative_error.value is None


def test_reads_well_and_becomes_json(tiny: TinyModel, batch: Batch, exact: jaxeap.AttributionResult):
    audit = jaxeap.audit(tiny.model, batch, exact, edges=12)
    assert str(audit).startswith("audit of 12 edges by exact patching: spearman 1.000 [")
    assert json.loads(json.dumps(audit.to_json()))["edges"] == 12


def test_constant_scores_have_no_correlation(tiny: TinyModel, batch: Batch, exact: jaxeap.AttributionResult):
    constant = dataclasses.replace(exact, scores=np.where(exact.graph.mask, 1.0, 0.0)[None].repeat(batch.size, 0))
    audit = jaxeap.audit(tiny.model, batch, constant, edges=12)
    assert audit.spearman.value is None and audit.spearman.interval is None
    assert "spearman undefined" in str(audit)


def test_another_batch_is_refused(tiny: TinyModel, batch: Batch, exact: jaxeap.AttributionResult):
    other = Batch.from_sequences([[1, 2, 3]], [(1, 3)])
    with pytest.raises(ValueError, match="the result has 4 examples, the batch 1"):
        jaxeap.audit(tiny.model, other, exact)


def test_sample_reaches_every_kind_and_rank(tiny: TinyModel):
    graph = EdgeGraph.for_config(tiny.model.config, "head")
    rng = np.random.default_rng(0)
    sizes = rng.exponential(size=graph.mask.shape)
    sample = stratified_sample(sizes, graph, 40, rng)
    assert sample.shape == (40, 2) and len(np.unique(sample, axis=0)) == 40
    assert graph.mask[tuple(sample.T)].all()
    kinds = {graph.destination_nodes[column].kind for _, column in sample}
    assert kinds == {"query", "key", "value", "mlp", "logits"}
    into_queries = [sizes[row, column] for row, column in sample if graph.destination_nodes[column].kind == "query"]
    every = sizes[:, [node.kind == "query" for node in graph.destination_nodes]]
    assert max(into_queries) > np.quantile(every, 0.8) and min(into_queries) < np.quantile(every, 0.3)
