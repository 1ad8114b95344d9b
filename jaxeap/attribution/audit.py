"""The audit: how far first-order scores can be trusted on this model, by patching a sample of edges exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats

from jaxeap.attribution.attribute import attribute
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.result import AttributionResult
from jaxeap.attribution.sources import Sources
from jaxeap.models.model import Decoder


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number and its interval; both None where it is undefined (such as a correlation of constants)."""

    value: float | None
    interval: tuple[float, float] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """Agreement between attribution scores and exact effects over a sample of edges.

    Attributes:
      edges: [E, 2] (source, destination) indices of the patched edges.
      scores, effects: [B, E] attribution score and exact change of the loss, of each example.
      spearman, pearson: correlations over edges of the mean over examples.
      sign_agreement: share of edges whose mean score and mean effect have the same sign.
      slope: least-squares slope through the origin of effect on score; 1 where first order is all there is.
      median_relative_error: of |score - effect| / |effect|, means over examples, over edges with an effect.
      confidence: level of the intervals.
    """

    edges: np.ndarray
    scores: np.ndarray
    effects: np.ndarray
    spearman: Estimate
    pearson: Estimate
    sign_agreement: Estimate
    slope: Estimate
    median_relative_error: Estimate
    confidence: float

    def to_json(self) -> dict[str, Any]:
        """What a report prints, as plain numbers."""
        names = ("spearman", "pearson", "sign_agreement", "slope", "median_relative_error")
        return {
            "edges": len(self.edges),
            "examples": len(self.scores),
            "confidence": self.confidence,
            **{name: dataclasses.asdict(getattr(self, name)) for name in names},
        }

    def __str__(self) -> str:
        def shown(name: str, estimate: Estimate) -> str:
            if estimate.value is None:
                return f"{name} undefined"
            bounds = "" if estimate.interval is None else " [{:.3f}, {:.3f}]".format(*estimate.interval)
            return f"{name} {estimate.value:.3f}{bounds}"

        parts = ", ".join(
            shown(name, getattr(self, name.replace(" ", "_")))
            for name in ("spearman", "pearson", "sign agreement", "slope")
        )
        return f"audit of {len(self.edges)} edges by exact patching: {parts} ({self.confidence:.0%} intervals)"


def audit(
    model: Decoder,
    batch: Batch,
    result: AttributionResult,
    edges: int = 256,
    reference: Sources | None = None,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Audit:
    """Patches a stratified random sample of edges exactly and compares with the result's scores.

    Args:
      model: the decoder that made the scores.
      batch: the examples that made them.
      result: what `attribute` gave for them; its level and ablation are used again.
      edges: how many edges to patch; all of them where the graph has fewer.
      reference: as given to `attribute`.
      seed: of the sample and of the bootstrap.
      resamples: of the bootstrap over edges that makes the intervals.
      confidence: level of the intervals.

    Raises:
      ValueError: the batch is not the one that made the result, or its ablation is unknown to exact patching.
    """
    if result.scores.shape[0] != batch.size:
        raise ValueError(f"the result has {result.scores.shape[0]} examples, the batch {batch.size}: not the same ones")
    if edges < 2:
        raise ValueError(f"an audit needs at least 2 edges, got {edges}")
    scores = np.asarray(result.scores, np.float64)
    sample = stratified_sample(np.abs(scores).mean(axis=0), result.graph, edges, np.random.default_rng(seed))
    patched = attribute(
        model,
        batch,
        method="exact",
        level=result.graph.level,
        ablation=result.ablation,
        reference=reference,
        seed=result.seed,
        edges=sample,
    )
    rows, columns = sample.T
    effects = np.asarray(patched.scores, np.float64)[:, rows, columns]
    return agreement(sample, scores[:, rows, columns], effects, seed, resamples, confidence)


def agreement(
    edges: np.ndarray,
    scores: np.ndarray,
    effects: np.ndarray,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Audit:
    """How well scores tell the exact effects of the same edges on the same examples.

    Args:
      edges: [E, 2] (source, destination) indices.
      scores, effects: [B, E].
      seed, resamples, confidence: as of `audit`.
    """
    scores, effects = scores.astype(np.float64), effects.astype(np.float64)
    mean_score, mean_effect = scores.mean(axis=0), effects.mean(axis=0)

    def estimate(statistic: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Estimate:
        (value,) = statistic(mean_score[None], mean_effect[None])
        if not np.isfinite(value):
            return Estimate(None, None)
        draws = np.random.default_rng([seed, 1]).integers(len(edges), size=(resamples, len(edges)))
        resampled = np.concatenate(
            [statistic(mean_score[some], mean_effect[some]) for some in np.array_split(draws, -(-draws.size // 10**6))]
        )
        tail = (1 - confidence) / 2
        low, high = np.nanquantile(resampled, [tail, 1 - tail])
        return Estimate(float(value), (float(low), float(high)))

    return Audit(
        edges=edges,
        scores=scores,
        effects=effects,
        spearman=estimate(lambda a, b: _correlation(scipy.stats.rankdata(a, axis=1), scipy.stats.rankdata(b, axis=1))),
        pearson=estimate(_correlation),
        sign_agreement=estimate(lambda a, b: np.mean(np.sign(a) == np.sign(b), axis=1)),
        slope=estimate(lambda a, b: _ratio(np.sum(a * b, axis=1), np.sum(a * a, axis=1))),
        median_relative_error=estimate(_median_relative_error),
        confidence=confidence,
    )


def stratified_sample(sizes: np.ndarray, graph: EdgeGraph, count: int, rng: np.random.Generator) -> np.ndarray:
    """A random sample of edges, spread evenly over kinds of destination and, within a kind, over ranks of |score|.

    Without strata nearly every drawn edge would be one of the many that carry nothing.

    Args:
      sizes: [S, J] size of each edge's score.
      graph: the edges.
      count: how many to draw, without replacement; at most all.
      rng: source of randomness.

    Returns:
      [E, 2] int64 (source, destination), in the order of the matrix.
    """
    every = np.argwhere(graph.mask)
    if count >= len(every):
        return every
    kinds = np.array([graph.destination_nodes[column].kind for column in every[:, 1]])
    order = np.lexsort((-sizes[every[:, 0], every[:, 1]], kinds))
    # One edge from each of `count` equal stretches of the order: every kind and every rank gets its share.
    bounds = np.linspace(0, len(every), count + 1)
    places = np.floor(rng.uniform(bounds[:-1], bounds[1:])).astype(int)
    chosen = np.unique(np.minimum(places, len(every) - 1))
    missing = rng.choice(np.setdiff1d(np.arange(len(every)), chosen), count - len(chosen), replace=False)
    return every[np.sort(order[np.concatenate([chosen, missing])])]


def _median_relative_error(score: np.ndarray, effect: np.ndarray) -> np.ndarray:
    """[R] from [R, E]; edges without an effect are left out."""
    errors = np.divide(np.abs(score - effect), np.abs(effect), out=np.full(score.shape, np.nan), where=effect != 0)
    found = np.full(len(errors), np.nan)
    some = np.isfinite(errors).any(axis=1)
    found[some] = np.nanmedian(errors[some], axis=1)
    return found


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of each row of [R, E], NaN where one side is constant."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    return _ratio(np.sum(a * b, axis=1), np.sqrt(np.sum(a * a, axis=1) * np.sum(b * b, axis=1)))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
