"""Ratios of means and means of ratios, by hand and under scaling."""

import numpy as np
import pytest

from jaxeap.metrics.controls import normalised_intensity
from jaxeap.metrics.controls.normalised import ratio_of_means

BOOTSTRAP = {"resamples": 50, "seed": 0, "confidence": 0.95}


def rows(intensity, loss, norm) -> dict[str, dict]:
    return {row["metric"]: row for row in normalised_intensity(intensity, loss, norm, **BOOTSTRAP)}


def test_by_hand():
    base, tuned = np.array([1.0, 3.0]), np.array([2.0, 2.0])
    found = rows(
        (base, tuned), (np.array([1.0, 1.0]), np.array([0.5, 0.0])), (np.array([2.0, 2.0]), np.array([1.0, 4.0]))
    )
    assert found["intensity_by_loss"]["base"] == 2.0
    assert found["intensity_by_loss"]["tuned"] == 4.0 / 0.5
    assert found["intensity_by_gradient_norm"]["tuned"] == 4.0 / 5.0
    # The second question has no loss in the tuned model, so it counts in neither.
    assert found["intensity_by_loss_per_question"]["base"] == 1.0
    assert found["intensity_by_loss_per_question"]["tuned"] == 4.0
    assert found["intensity_by_loss_per_question"]["examples"] == 1
    assert found["intensity_by_gradient_norm_per_question"]["difference"] == pytest.approx(
        (2 + 0.5) / 2 - (0.5 + 1.5) / 2
    )


def test_a_model_that_only_grows_surer_has_changed_nothing():
    rng = np.random.default_rng(0)
    intensity, loss, norm = rng.lognormal(size=(3, 30))
    found = rows((intensity, 0.1 * intensity), (loss, 0.1 * loss), (norm, 0.1 * norm))
    assert len(found) == 4
    for row in found.values():
        assert row["difference"] == pytest.approx(0, abs=1e-12)
        assert row["interval"]["low"] == pytest.approx(0, abs=1e-12)


def test_no_loss_at_all_has_no_ratio():
    assert np.isnan(ratio_of_means(np.array([[1.0, 0.0], [2.0, 0.0]]), np.ones((1, 2)))).all()
    found = rows((np.ones(3), np.ones(3)), (np.zeros(3), np.ones(3)), (np.ones(3), np.ones(3)))
    assert found["intensity_by_loss"]["difference"] is None
    assert found["intensity_by_loss_per_question"]["examples"] == 0
