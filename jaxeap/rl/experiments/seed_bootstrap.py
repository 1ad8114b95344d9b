"""Intervals over training seeds and questions: a bootstrap in two stages.

A difference between two models varies with the questions, and a method's effect with the training run besides. Each
resample draws K of the K seeds with replacement, and for each drawn seed its questions anew, and averages; its
percentiles then speak of other runs of the recipe on other questions of the kind (Davison and Hinkley 1997, "Bootstrap
Methods and their Application", section 3.8).

Two facts limit it. K seeds are few: percentiles of a mean of K values are too narrow by sqrt((K - 1) / K) and by taking
the normal distribution for Student's, 30% in all at K = 5; the percentiles are moved outwards to make up for both
("expanded percentile interval", Hesterberg 2015, arXiv 1411.5279, section 5.2). And seeds share their questions to some
part, which the second stage, drawing for each seed apart, does not know; with 300 questions that part is small.

Below five seeds expanding helps no more: no resample lies outside the seeds' own values but by their questions. Where
seeds differ by more than that, percentiles of two cover 64% for 95%, of three 83%, of four 87%. The interval then also
takes in Student's of the seeds' values, which covers at any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.stats

from jaxeap.metrics.bootstrap import Interval, percentile_interval
from jaxeap.metrics.entries import FloatArray

FEWEST_FOR_PERCENTILES = 5
"""Seeds: of fewer, percentiles alone cover too seldom."""


def seed_interval(
    values: Sequence[float], draws: Sequence[FloatArray], confidence: float, seed: int
) -> Interval | None:
    """The interval of the mean over seeds.

    Args:
      values: of each of K seeds, its value over its questions as they are.
      draws: of each, [R]: its value in R resamples of its questions.
      confidence: wanted coverage.
      seed: of the resampling.

    Returns:
      (low, high); of one seed the interval over its questions alone; None where there is no seed, or no resample that
      has a value.
    """
    if not len(draws):
        return None
    means = resampled_means(np.stack(list(draws)), seed)
    percentiles = percentile_interval(means, expanded_confidence(confidence, len(draws)))
    student = student_interval(values, confidence)
    if percentiles is None or student is None or len(draws) >= FEWEST_FOR_PERCENTILES:
        return percentiles
    return min(percentiles[0], student[0]), max(percentiles[1], student[1])


def resampled_means(draws: FloatArray, seed: int) -> FloatArray:
    """[K, R] resamples of each seed's questions -> [R] means over K drawn seeds, each with questions of its own."""
    count, resamples = draws.shape
    rng = np.random.default_rng(seed)
    seeds = rng.integers(0, count, size=(resamples, count))
    questions = rng.permuted(np.broadcast_to(np.arange(resamples)[:, None], (resamples, count)), axis=0)
    return draws[seeds, questions].mean(axis=1)


def expanded_confidence(confidence: float, seeds: int) -> float:
    """The confidence whose percentiles are to be taken for those of `confidence`, with so many seeds.

    Hesterberg 2015, section 5.2: alpha' / 2 = Phi(-sqrt(K / (K - 1)) t), t the upper alpha / 2 point of Student's
    distribution with K - 1 degrees of freedom. One seed is taken as it is: its interval says nothing of seeds.
    """
    if seeds < 2:
        return confidence
    point = scipy.stats.t.ppf((1 + confidence) / 2, seeds - 1)
    return 1 - 2 * float(scipy.stats.norm.cdf(-np.sqrt(seeds / (seeds - 1)) * point))


def student_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Student's interval of the mean of one number a seed, such as an accuracy; None where there are not two."""
    if len(values) < 2:
        return None
    point = scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1)
    half = float(point * np.std(values, ddof=1) / np.sqrt(len(values)))
    return float(np.mean(values)) - half, float(np.mean(values)) + half
