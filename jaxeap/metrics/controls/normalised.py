"""Intensity beside loss and gradient: how much of a difference is only that one model is surer of its answer.

A score is an output times a gradient of the loss, and the gradient shrinks as the model becomes sure: at the logits it
is p - 1 for the counted token. So a model that learned to be sure has smaller scores through and through, whatever its
circuits do. Dividing by the loss, or by the norm of the gradient where it enters the network, takes that out.
"""

import numpy as np

from jaxeap.metrics.controls.paired import Row, difference_row
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.inference.options import Method
from jaxeap.metrics.measures import Measure
from jaxeap.metrics.weighting import weighted_mean


def normalised_intensity(
    intensity: tuple[FloatArray, FloatArray],
    loss: tuple[FloatArray, FloatArray],
    gradient_norm: tuple[FloatArray, FloatArray],
    *,
    resamples: int,
    seed: int,
    confidence: float,
    method: Method = "bca",
) -> list[Row]:
    """Four rows: intensity by loss and by gradient norm, as a ratio of means and as a mean of each question's ratio.

    The ratio of means asks of the headline's own number; questions with a large loss weigh as much in it as they do
    there. In the mean of ratios every question counts alike; those whose divisor is 0 are left out.

    Args:
        intensity: [N] of base and of tuned, each question's.
        loss: [N] likewise, in nats.
        gradient_norm: [N] likewise, of the loss's gradient by the last residual stream.
        resamples, seed, confidence, method: of the paired bootstrap.
    """
    rows = []
    for name, what, divisor in (
        ("intensity_by_loss", "nat of loss", loss),
        ("intensity_by_gradient_norm", "unit of gradient norm", gradient_norm),
    ):
        of_means = Measure(name, f"Intensity per {what}", lambda scores, mask: scores, ratio_of_means)
        of_questions = Measure(
            f"{name}_per_question", f"Intensity per {what}, mean of questions", lambda scores, mask: scores
        )
        stacked = [np.stack(both, axis=1) for both in zip(intensity, divisor, strict=True)]
        ratios = [_ratio(*both) for both in zip(intensity, divisor, strict=True)]
        for measure, (base, tuned) in ((of_means, stacked), (of_questions, ratios)):
            rows.append(
                difference_row(
                    measure, base, tuned, resamples=resamples, seed=seed, confidence=confidence, method=method
                )
            )
    return rows


def ratio_of_means(statistics: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean of the first column of [N, 2] over that of the second: [R]; NaN where that is 0."""
    means = weighted_mean(statistics, weights)
    return _ratio(means[:, 0], means[:, 1])


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)
