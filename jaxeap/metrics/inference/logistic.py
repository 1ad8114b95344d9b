"""Logistic regression with a small ridge, and bootstrap intervals over questions."""

import dataclasses

import numpy as np
from scipy import optimize
from scipy.special import expit

from jaxeap.metrics.bootstrap import Interval, percentile_interval, resample_weights
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.inference.options import InferenceOptions

RIDGE = 1.0
"""Inverse variance of the normal prior on a coefficient: one of +-2 log-odds a standard deviation is still usual."""


@dataclasses.dataclass(frozen=True)
class Coefficient:
    """Change of the log-odds with one standard deviation of a covariate, all others held fixed.

    None where the covariate does not vary, or all outcomes are the same.
    """

    term: str
    value: float | None
    interval: Interval | None


def logistic_model(
    outcome: FloatArray, covariates: dict[str, FloatArray], options: InferenceOptions, ridge: float = RIDGE
) -> tuple[list[Coefficient], int]:
    """Log-odds of an outcome as a sum over standardised covariates.

    Maximises sum_n log p(y_n) - ridge / 2 |beta|^2, the intercept not being penalised. Without the penalty a covariate
    that separates right from wrong, as happens with few wrong answers, has no finite coefficient; with it the estimate
    is drawn towards 0 by about ridge / (N var(y)) of itself. Intervals are percentiles over resampled questions, fitted
    anew; they are those of the penalised estimate.

    Args:
        outcome: [N] of 0 and 1.
        covariates: name -> [N]; questions with a NaN in any covariate that varies are left out.
        options: resamples, seed and confidence.
        ridge: above 0.

    Returns:
        "intercept" first, then each covariate; and the number of questions.
    """
    if not ridge > 0:
        raise ValueError(f"ridge is {ridge}; give a number above 0, without which separated outcomes have no maximum")
    varying = [name for name, values in covariates.items() if _varies(values)]
    kept = (
        np.all([np.isfinite(covariates[name]) for name in varying], axis=0) if varying else np.ones(len(outcome), bool)
    )
    varying = [name for name in varying if _varies(covariates[name][kept])]
    target, count = outcome[kept], int(kept.sum())
    if count < 2 or not np.ptp(target):
        return [Coefficient(term, None, None) for term in ("intercept", *covariates)], count
    columns = [
        (covariates[name][kept] - covariates[name][kept].mean()) / covariates[name][kept].std() for name in varying
    ]
    design = np.column_stack([np.ones(count), *columns])
    fitted = fit_logistic(design, target, np.ones(count), ridge)
    resampled = np.array(
        [
            fit_logistic(design, target, weights, ridge, fitted)
            for block in resample_weights(count, options.resamples, options.seed)
            for weights in block
            if 0 < weights @ target < count  # else all drawn outcomes are the same, and the intercept is infinite
        ]
    ).reshape(-1, design.shape[1])
    place = {term: number for number, term in enumerate(("intercept", *varying))}

    def coefficient(term: str) -> Coefficient:
        if term not in place:
            return Coefficient(term, None, None)
        draws = resampled[:, place[term]]
        return Coefficient(term, float(fitted[place[term]]), percentile_interval(draws, options.confidence))

    return [coefficient(term) for term in ("intercept", *covariates)], count


def fit_logistic(
    design: FloatArray, outcome: FloatArray, weights: FloatArray, ridge: float, start: FloatArray | None = None
) -> FloatArray:
    """The coefficients [P] that maximise the penalised likelihood; the first column is not penalised.

    Args:
        design: [N, P], the first column of ones.
        outcome: [N] of 0 and 1.
        weights: [N], how often each question counts.
        ridge: the penalty.
        start: [P], where to begin.
    """
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 0.0

    def loss(coefficients: FloatArray) -> tuple[float, FloatArray]:
        logits = design @ coefficients
        value = weights @ (np.logaddexp(0, logits) - outcome * logits) + penalty @ coefficients**2 / 2
        return float(value), design.T @ (weights * (expit(logits) - outcome)) + penalty * coefficients

    def curvature(coefficients: FloatArray) -> FloatArray:
        share = expit(design @ coefficients)
        return design.T @ ((weights * share * (1 - share))[:, None] * design) + np.diag(penalty)

    found = optimize.minimize(
        loss,
        np.zeros(design.shape[1]) if start is None else start,
        jac=True,
        hess=curvature,
        method="trust-exact",
        options={"gtol": 1e-8 * len(outcome)},
    )
    return found.x


def _varies(values: FloatArray) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 1 and bool(np.ptp(finite) > 0)
