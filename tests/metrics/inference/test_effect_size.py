import numpy as np
import pytest

from jaxeap.metrics.inference.effect_size import hedges_g, pseudo_values, robust_effect


def test_by_hand():
    # 1, 2, 3: mean 2, deviation 1, and J(2) = Gamma(1) / (sqrt(1) Gamma(1/2)) = 1 / sqrt(pi)
    assert hedges_g(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / np.sqrt(np.pi))
    # median 2, absolute deviations 1, 0, 5
    assert robust_effect(np.array([1.0, 2.0, 7.0])) == pytest.approx(2 / 1.4826, rel=1e-4)


def test_the_correction_takes_the_bias_away():
    generator = np.random.default_rng(0)
    samples = generator.normal(0.5, 1, size=(40_000, 6))
    plain = samples.mean(axis=1) / samples.std(axis=1, ddof=1)
    corrected = np.array([hedges_g(row) for row in samples[:20_000]])
    assert abs(corrected.mean() - 0.5) < 4 * corrected.std() / np.sqrt(20_000)
    assert plain.mean() > 0.55


def test_both_are_free_of_scale_and_agree_for_normal_differences():
    differences = np.random.default_rng(1).normal(0.3, 1, size=4001)
    assert hedges_g(7 * differences) == pytest.approx(hedges_g(differences))
    assert robust_effect(7 * differences) == pytest.approx(robust_effect(differences))
    assert robust_effect(differences) == pytest.approx(hedges_g(differences), abs=0.06)
    wild = np.append(differences, 1e6)
    assert robust_effect(wild) == pytest.approx(robust_effect(differences), rel=0.01)


def test_no_scatter_no_effect_size():
    assert hedges_g(np.full(5, 0.3)) is None and robust_effect(np.full(5, 0.3)) is None
    assert hedges_g(np.array([1.0, 2.0])) is None and robust_effect(np.array([1.0, 2.0])) is None


def test_pseudo_values_of_a_mean_are_the_values():
    values = np.random.default_rng(2).normal(size=9)
    left_out = (values.sum() - values) / 8
    np.testing.assert_allclose(pseudo_values(values.mean(), left_out), values, rtol=1e-12)
