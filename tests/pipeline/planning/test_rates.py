"""Rates: as set, measured or supposed, and each said to be so."""

import pytest

from jaxeap.pipeline.planning import plan_run, print_short_plan
from jaxeap.pipeline.planning import rates as module
from jaxeap.pipeline.planning.rates import Rates, measured, rates
from tests.pipeline.conftest import tiny_model_config

SHAPE = tiny_model_config()
FOUND = Rates(4e9, 1e9, 2e9, "measured")


@pytest.fixture
def asked(monkeypatch):
    """What is measured, which takes no time and gives `FOUND`."""
    asked = []
    monkeypatch.setattr(module, "measured", lambda *about: asked.append(about) or FOUND)
    return asked


def test_what_is_set_is_taken_and_what_is_not_is_supposed_or_measured(asked):
    set_ = rates(2.0, 3.0, SHAPE, "float32", 30, measure=True)
    assert set_ == Rates(2e12, 2e12, 3e9, "as set")
    assert rates(None, None, SHAPE, "float32", 30, measure=False) == Rates(150e12, 150e12, 1e12, "supposed")
    assert rates(2.0, None, SHAPE, "float32", 30, False) == Rates(2e12, 2e12, 1e12, "partly set, else supposed")
    assert asked == []
    assert rates(None, None, SHAPE, "float32", 30, measure=True) is FOUND
    assert rates(None, 3.0, SHAPE, "float32", 30, True) == Rates(4e9, 1e9, 3e9, "partly set, else measured")
    assert asked == 2 * [("cpu", "float32", 16, 24, 30)]


def test_an_accelerator_is_measured_in_a_dry_run_too(asked, monkeypatch):
    monkeypatch.setattr(module.jax, "default_backend", lambda: "gpu")
    assert rates(None, None, SHAPE, "float32", 30, measure=False) is FOUND


def test_time_of_operations_at_two_precisions():
    assert FOUND.seconds(8e9) == 2
    assert FOUND.seconds(8e9, precise=4e9) == 1 + 4


def test_rates_are_operations_and_bytes_over_the_time_of_a_run(monkeypatch):
    monkeypatch.setattr(
        module, "_seconds", lambda run, least: run().size * 1e-6
    )  # a microsecond a number of the result
    found = measured.__wrapped__("a device", "bfloat16", 16, 24, 10_000)
    # 64 tokens take 1.024 ms, so that 195 times as many go into 0.2 s, and as many as were asked for are taken.
    assert found.flops == found.precise_flops == pytest.approx(0.6 * 4 * 10_000 * 16 * 24 / (10_000 * 16 * 1e-6))
    assert found.origin == "60% of that of products with 10,000 tokens, measured on this a device"
    fewer = measured.__wrapped__("a device", "bfloat16", 16, 24, 100_000)
    assert "with 12,480 tokens" in fewer.origin
    # The vector has as many numbers as the matrix has rows, of 16 numbers of two bytes.
    assert found.bandwidth == pytest.approx(16 * 2 / 1e-6)


def test_a_device_is_measured_once(config, console):
    config.attribution.batch_size = 2
    plan = plan_run(config, measure=True)
    assert plan_run(config, measure=True).rates is plan.rates
    assert plan.rates.origin == "60% of that of products with 20 tokens, measured on this cpu"
    assert 0 < plan.rates.flops == plan.rates.precise_flops
    print_short_plan(plan, console)
    assert "measured on this cpu" in console.file.getvalue()
    assert plan.scoring_hours == pytest.approx(plan.scoring_flops / plan.rates.flops / 3600)
