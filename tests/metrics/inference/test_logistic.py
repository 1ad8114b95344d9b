import numpy as np
import pytest
from scipy import optimize
from scipy.special import expit

from jaxeap.metrics.inference.logistic import fit_logistic, logistic_model
from jaxeap.metrics.inference.options import InferenceOptions


def simulated(count: int, seed: int = 0):
    generator = np.random.default_rng(seed)
    covariates = {
        "a": generator.normal(5, 2, count),
        "b": generator.normal(size=count),
        "c": generator.normal(size=count),
    }
    standard = (covariates["a"] - 5) / 2
    outcome = (generator.random(count) < expit(0.5 + 1.2 * standard - 0.7 * covariates["b"])).astype(float)
    return covariates, outcome


def test_maximises_the_penalised_likelihood():
    covariates, outcome = simulated(80)
    design = np.column_stack([np.ones(80), *covariates.values()])
    weights = np.random.default_rng(1).integers(0, 3, 80).astype(float)

    def loss(beta):
        p = expit(design @ beta)
        return (
            -np.sum(weights * (outcome * np.log(p) + (1 - outcome) * np.log(1 - p))) + 0.7 * np.sum(beta[1:] ** 2) / 2
        )

    found = fit_logistic(design, outcome, weights, 0.7)
    np.testing.assert_allclose(optimize.approx_fprime(found, loss, 1e-7), 0, atol=1e-3)
    rough = optimize.minimize(loss, np.zeros(4), method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-12})
    np.testing.assert_allclose(found, rough.x, atol=1e-3)


def test_planted_coefficients_are_found_and_covered():
    covariates, outcome = simulated(600)
    found, count = logistic_model(outcome, covariates, InferenceOptions(resamples=80))
    assert count == 600 and [row.term for row in found] == ["intercept", "a", "b", "c"]
    for row, planted in zip(found, (0.5, 1.2, -0.7, 0.0), strict=True):
        assert row.value == pytest.approx(planted, abs=0.35)
        assert row.interval[0] < planted < row.interval[1]
    assert found[1].interval[0] > 0 > found[2].interval[1]


def test_separated_outcomes_do_not_explode():
    covariates, _ = simulated(60)
    found, _ = logistic_model((covariates["a"] > 5).astype(float), covariates, InferenceOptions(resamples=20))
    assert 1 < found[1].value < 10 and max(map(abs, found[1].interval)) < 10


def test_scale_of_covariates_does_not_matter():
    covariates, outcome = simulated(60)
    options = InferenceOptions(resamples=10)
    one, _ = logistic_model(outcome, covariates, options)
    other, _ = logistic_model(outcome, covariates | {"a": 1000 * covariates["a"] - 3}, options)
    np.testing.assert_allclose([row.value for row in one], [row.value for row in other], rtol=1e-6)


def test_what_does_not_vary_is_left_out():
    covariates, outcome = simulated(60)
    with_flat = covariates | {"flat": np.ones(60), "none": np.full(60, np.nan)}
    options = InferenceOptions(resamples=10)
    found, count = logistic_model(outcome, with_flat, options)
    assert count == 60 and [row.value for row in found[-2:]] == [None, None]
    assert found[:-2] == logistic_model(outcome, covariates, options)[0]
    assert all(row.value is None for row in logistic_model(np.ones(60), covariates, options)[0])
    holes = np.where(np.arange(60) < 5, np.nan, covariates["b"])
    assert logistic_model(outcome, covariates | {"b": holes}, options)[1] == 55


def test_no_penalty_is_refused():
    covariates, outcome = simulated(20)
    with pytest.raises(ValueError, match="ridge is 0"):
        logistic_model(outcome, covariates, InferenceOptions(resamples=5), ridge=0)
