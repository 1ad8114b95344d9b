"""Quadrature rules on functions with known integrals."""

import numpy as np
import pytest

from jaxeap.attribution.methods.path import PathOptions, quadrature


@pytest.mark.parametrize("rule", ["midpoint", "left", "right", "trapezoid"])
@pytest.mark.parametrize("steps", [1, 4])
def test_weights_add_up_and_points_lie_on_the_path(rule: str, steps: int):
    points, weights = quadrature(steps, rule)
    assert sum(weights) == pytest.approx(1)
    assert min(points) >= 0 and max(points) <= 1


def test_points_by_hand():
    assert quadrature(2, "midpoint") == ((0.25, 0.75), (0.5, 0.5))
    assert quadrature(2, "left") == ((0.0, 0.5), (0.5, 0.5))
    assert quadrature(2, "right") == ((0.5, 1.0), (0.5, 0.5))
    assert quadrature(2, "trapezoid") == ((0.0, 0.5, 1.0), (0.25, 0.5, 0.25))


def test_midpoint_and_trapezoid_integrate_lines_exactly_and_end_point_rules_do_not():
    def integral(rule: str) -> float:
        points, weights = quadrature(3, rule)
        return float(np.dot(weights, points))

    assert integral("midpoint") == pytest.approx(0.5)
    assert integral("trapezoid") == pytest.approx(0.5)
    assert integral("left") == pytest.approx(0.5 - 1 / 6)
    assert integral("right") == pytest.approx(0.5 + 1 / 6)


def test_refuses_unknown_rules_and_no_steps():
    with pytest.raises(ValueError, match="rule 'simpson' is unknown; use one of midpoint"):
        PathOptions(rule="simpson")
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        PathOptions(steps=0)
