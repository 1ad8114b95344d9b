import itertools

import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.inference.saddlepoint import PATTERNS, sign_flip_p_values


def exact_p_values(differences: np.ndarray) -> np.ndarray:
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(differences))))
    return (np.abs(signs @ differences) >= np.abs(differences.sum(axis=0)) * (1 - 1e-12)).mean(axis=0)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("freedom", [2, 100])
def test_against_all_patterns(shift, freedom):
    """With two degrees of freedom single questions outweigh all others."""
    differences = shift + np.random.default_rng(0).standard_t(freedom, size=(14, 200))
    exact, found = exact_p_values(differences), sign_flip_p_values(differences)
    error = np.sqrt(exact * (1 - exact) / PATTERNS)
    counted = exact > 0.03
    assert (np.abs(found - exact) < 5 * error + 1 / PATTERNS)[counted].all()
    assert counted.any() or shift == 1.5
    np.testing.assert_allclose(np.log(found[~counted]), np.log(exact[~counted]), atol=np.log(2))


def test_few_questions_are_exact():
    differences = np.random.default_rng(1).standard_t(2, size=(11, 50))
    np.testing.assert_array_equal(sign_flip_p_values(differences), exact_p_values(differences))


def test_many_questions_are_as_a_t_test_and_far_out_tails_are_told_apart():
    differences = np.random.default_rng(2).standard_normal((200, 500)) + np.linspace(0, 0.6, 500)
    found = sign_flip_p_values(differences)
    expected = stats.ttest_1samp(differences, 0, axis=0).pvalue
    np.testing.assert_allclose(found, expected, rtol=0.15, atol=0.05)
    far = expected < 1e-6
    assert far.sum() > 50
    np.testing.assert_allclose(np.log10(found[far]), np.log10(expected[far]), rtol=0.1)


def test_sign_and_scale_do_not_matter_and_zeros_are_neutral():
    differences = np.random.default_rng(3).standard_normal((14, 50)) + 0.7
    found = sign_flip_p_values(differences)
    np.testing.assert_allclose(sign_flip_p_values(-differences), found, rtol=1e-12)
    np.testing.assert_allclose(sign_flip_p_values(1e-9 * differences), found, rtol=1e-9)
    far = found < 0.01
    padded = sign_flip_p_values(np.concatenate([differences, np.zeros((3, 50))]))
    assert far.sum() > 20
    np.testing.assert_allclose(padded[far], found[far], rtol=1e-9)  # the others meet other random patterns


def test_extremes():
    assert sign_flip_p_values(np.zeros((5, 1)))[0] == 1
    same_sign = np.array([[1.0], [2.0], [4.0]])
    assert sign_flip_p_values(same_sign)[0] == 2 / 8
    assert sign_flip_p_values(np.array([[3.0], [0.0]]))[0] == 1  # one question alone tells nothing
    assert sign_flip_p_values(np.array([[1.0], [-1.0]]))[0] == 1


def test_under_the_null_p_values_are_uniform():
    differences = np.random.default_rng(4).standard_t(4, size=(40, 2000))
    assert stats.kstest(sign_flip_p_values(differences), "uniform").pvalue > 0.01
    few = np.random.default_rng(5).standard_t(4, size=(15, 2000))
    assert stats.kstest(sign_flip_p_values(few), "uniform").pvalue > 0.01
