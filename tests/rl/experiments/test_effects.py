"""Effects over seeds, by hand."""

import numpy as np
import pytest

from jaxeap.rl.experiments.comparison import Changes
from jaxeap.rl.experiments.effects import effects


def changes(base: float, tuned: float, spread: float = 0.0, metric: str = "intensity") -> Changes:
    draws = tuned - base + spread * np.random.default_rng(int(abs(tuned) * 10)).normal(size=400)
    return Changes({metric: "Title"}, {metric: base}, {metric: tuned}, {metric: draws}, {metric: draws / abs(base)})


def test_mean_over_seeds_and_signs():
    effect = effects({"1": changes(2, 3), "2": changes(4, 3), "3": changes(1, 2), "4": None})["intensity"]
    assert effect.seeds == {"1": 0.5, "2": -0.25, "3": 1.0}
    assert effect.relative == pytest.approx(1.25 / 3)
    assert effect.difference == pytest.approx(1 / 3)
    assert (effect.rising(), effect.falling()) == (2, 1)
    half = 4.302653 * np.std([0.5, -0.25, 1.0], ddof=1) / np.sqrt(3)  # Student's, of three seeds
    assert effect.interval == pytest.approx((max(-1.0, 1.25 / 3 - half), 1.25 / 3 + half))
    assert effect.interval[0] == -1.0 and effect.difference_interval[0] < -2
    assert effect.beyond is None and effect.beyond_interval is None


def test_a_change_below_minus_one_is_possible_of_signed_metrics_alone():
    members = {"1": changes(2, 6, metric="kurtosis"), "2": changes(2, 1, metric="kurtosis")}
    assert effects(members)["kurtosis"].interval[0] < -1


def test_negative_base_keeps_the_sign_of_the_change():
    assert effects({"1": changes(-2, -1)})["intensity"].relative == 0.5


def test_control_is_taken_away_seed_by_seed():
    """Both vary between seeds and together: the difference is the same in all of them."""
    condition = {str(seed): changes(10, 10 + 2 * seed) for seed in range(1, 5)}
    control = {str(seed): changes(10, 9 + 2 * seed) for seed in range(1, 5)}
    effect = effects(condition, control)["intensity"]
    assert effect.beyond == pytest.approx(0.1)
    assert effect.beyond_interval == pytest.approx((0.1, 0.1))
    assert effect.interval[0] < 0.3 and effect.interval[1] > 0.7


def test_seeds_without_control_are_left_out_of_the_difference_only():
    condition = {"1": changes(1, 2), "2": changes(1, 5)}
    effect = effects(condition, {"1": changes(1, 1.5), "2": None})["intensity"]
    assert effect.beyond == pytest.approx(0.5)
    assert len(effect.seeds) == 2


def test_nothing_present_gives_nothing():
    assert effects({"1": None}) == {}
