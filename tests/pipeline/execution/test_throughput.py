"""Rates by hand, on a clock that stands where the test puts it."""

import pytest

from jaxeap.pipeline.execution.throughput import Throughput


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_time_that_went_into_compiling_is_left_out_of_the_rates(clock):
    speed = Throughput(devices=2, peak=1e12, clock=clock)
    assert speed.summary() == speed.rates() == ""
    speed.compiling()
    clock.now += 50
    speed.finished(tokens=700, padded=1000, flops=1e12)
    assert speed.rates() == "14 tokens/s, 20 GFLOP/s, 1% of the bfloat16 peak"
    assert speed.summary().endswith("peak, compiling included")
    for _ in range(2):
        clock.now += 2
        speed.finished(tokens=800, padded=1000, flops=1e12)
    assert speed.rates() == "400 tokens/s, 500 GFLOP/s, 25% of the bfloat16 peak"
    assert speed.padding == pytest.approx(0.7 / 3)
    assert speed.summary() == (
        "2.3k tokens in 54.0 s, 23% padding; 400 tokens/s, 500 GFLOP/s, 25% of the bfloat16 peak while nothing compiled"
    )


def test_what_is_not_known_is_not_said(clock):
    speed = Throughput(clock=clock)
    clock.now += 1
    speed.finished(tokens=5000, padded=5000, flops=1e9)
    assert speed.rates() == "5k tokens/s, 1 GFLOP/s"
    clock.now += 1
    speed.finished(tokens=5000, padded=5000, flops=None)
    assert speed.rates() == "5k tokens/s"
