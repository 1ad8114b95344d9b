"""The list of metrics, each split into a statistic per example and a function of the examples' weights.

The split is what makes a bootstrap over questions both cheap and exact: the scores are read once, and a resample,
which is a vector of weights over the examples, costs a matrix product.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.complexity import histogram_counts, histogram_entropy, histogram_uppers
from jaxeap.metrics.concentration import gini_per_example, top_mass_per_example
from jaxeap.metrics.diversity import correlation_matrix, diversity, standardised
from jaxeap.metrics.entries import BoolArray, FloatArray, check_scores
from jaxeap.metrics.intensity import intensity_per_example
from jaxeap.metrics.kurtosis import kurtosis_per_example
from jaxeap.metrics.node_entropy import node_entropy_per_example
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.participation import effective_edges, participation_entropy
from jaxeap.metrics.swapping import Swap, swapped_diversity, swapped_entropy, swapped_mean, swapped_median
from jaxeap.metrics.tails import tail_index_per_example
from jaxeap.metrics.weighting import defined_examples, weighted_mean, weighted_median


@dataclasses.dataclass(frozen=True)
class Measure:
    """One metric.

    Attributes:
        name: key in result files.
        title: what tables and figures call it.
        per_example: (scores [N, S, J], mask [S, J]) -> statistics [N, ...]; all NaN for an example without a value.
        combine: (statistics, weights [R, N]) -> [R], the metric of each weighted set of examples.
        fewest_for_interval: the number of examples below which resampling them says nothing about the metric.
        centre: what `combine` makes of statistics [N]: their "mean", their "median", or of all examples "pooled" one
            number that is no centre of single ones.
        swap: the difference between the models after exchanging them within questions, for the permutation test.
        standardise: of a metric whose statistics [N, N] are about pairs of examples, scores [n, S, J] and mask to the
            vectors [n, E] whose products they are; None otherwise.
    """

    name: str
    title: str
    per_example: Callable[[npt.NDArray, BoolArray], FloatArray]
    combine: Callable[[FloatArray, FloatArray], FloatArray] = weighted_mean
    fewest_for_interval: int = 2
    centre: Literal["mean", "median", "pooled"] = "mean"
    swap: Swap = swapped_mean
    standardise: Callable[[npt.NDArray, BoolArray], FloatArray] | None = None


def measures(options: MetricOptions, histogram_upper: float) -> tuple[Measure, ...]:
    """All metrics under the given choices: the paper's three, its two companions of diversity, then the robust ones.

    Args:
        options: the open choices.
        histogram_upper: the histogram's right edge for the model at hand, from `histogram_uppers`.
    """
    entries = options.entries
    counts = partial(histogram_counts, entries=entries, bins=options.bins, upper=histogram_upper)
    kurtosis = partial(kurtosis_per_example, entries=entries, definition=options.kurtosis)
    standardise = partial(standardised, entries=entries, correlation=options.correlation)
    correlations = partial(correlation_matrix, entries=entries, correlation=options.correlation)
    return (
        Measure("intensity", "Activation intensity", partial(intensity_per_example, entries=entries)),
        Measure(
            "complexity", "Information complexity", counts, histogram_entropy, centre="pooled", swap=swapped_entropy
        ),
        Measure("kurtosis", "Distribution kurtosis", kurtosis),
        Measure(
            "diversity",
            "Inter-sample diversity",
            correlations,
            diversity,
            fewest_for_interval=3,  # two examples make one pair, and every resample that has a pair has the same one
            centre="pooled",
            swap=swapped_diversity,
            standardise=standardise,
        ),
        Measure("node_entropy", "Node output entropy", node_entropy_per_example),
        Measure("participation_entropy", "Participation entropy", participation_entropy),
        Measure("effective_edges", "Effective edges", effective_edges),
        Measure(
            "tail_index",
            "Tail index (quantiles)",
            tail_index_per_example,
            weighted_median,
            centre="median",
            swap=swapped_median,
        ),
        Measure("gini", "Gini coefficient", gini_per_example),
        Measure("top_mass", "Top mass", partial(top_mass_per_example, share=options.top_share)),
    )


def evaluate(scores: npt.NDArray, mask: BoolArray, options: MetricOptions | None = None) -> dict[str, float | None]:
    """The metrics of one model alone, by name; None where no example (for diversity: no pair) has a value.

    Args:
        scores: [N, S, J] float32 or float64.
        mask: [S, J] bool.
        options: the open choices; "shared" histogram range means this model's own, there being no other.

    Raises:
        ValueError: as `check_scores`.
    """
    options = options or MetricOptions()
    check_scores(scores, mask)
    (upper,) = histogram_uppers([scores], options.bin_range)
    values = {}
    for measure in measures(options, upper):
        statistics = measure.per_example(scores, mask)
        weights = defined_examples(statistics)[None].astype(np.float64)
        value = float(measure.combine(np.nan_to_num(statistics), weights)[0])
        values[measure.name] = value if np.isfinite(value) else None
    return values
