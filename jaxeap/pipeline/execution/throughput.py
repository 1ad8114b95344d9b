"""How fast batches are scored: tokens and operations a second, their share of the device's peak, and the padding."""

from __future__ import annotations

import time
from collections.abc import Callable

import jax

from jaxeap.pipeline.execution.peak_rates import peak_flops


class Throughput:
    """Adds up what batches took.

    Rates are over the times from one batch's results to the next's between which nothing was compiled; where there is
    no such time, over all of it, and `summary` says so.
    """

    def __init__(self, devices: int = 1, peak: float | None = None, clock: Callable[[], float] = time.perf_counter):
        """Starts the clock.

        Args:
          devices: that work together.
          peak: operations a second that each can do at most; None where that is not known.
          clock: seconds.
        """
        self._clock, self._devices, self._peak = clock, devices, peak
        self._last = clock()
        self._compiled = False
        self._whole = _Sum()
        self._steady = _Sum()

    @classmethod
    def of_devices(cls, devices: int = 1) -> Throughput:
        """On the devices of this machine, all of the kind of the first."""
        return cls(devices, peak_flops(jax.local_devices()[0].device_kind))

    def compiling(self) -> None:
        """A batch of a new shape was started."""
        self._compiled = True

    def finished(self, tokens: int, padded: int, flops: float | None) -> None:
        """The results of a batch are here.

        Args:
          tokens: real ones.
          padded: places for tokens, padding and rows that only fill the batch included.
          flops: operations; None where they are not known.
        """
        now = self._clock()
        for total in (self._whole,) if self._compiled else (self._whole, self._steady):
            total.add(now - self._last, tokens, padded, flops)
        self._last, self._compiled = now, False

    @property
    def padding(self) -> float:
        """Share of all places that hold no token."""
        return 1 - self._whole.tokens / max(1, self._whole.padded)

    def rates(self) -> str:
        """Tokens and operations a second, and the share of the peak, as far as known."""
        total = self._steady if self._steady.seconds > 0 else self._whole
        if not total.seconds:
            return ""
        said = [f"{_tokens(total.tokens / total.seconds)}/s"]
        if total.flops:
            speed = total.flops / total.seconds
            said.append(f"{' '.join(_scaled(speed))}FLOP/s")
            if self._peak:
                said.append(f"{speed / (self._peak * self._devices):.0%} of the bfloat16 peak")
        return ", ".join(said)

    def summary(self) -> str:
        """All of it in one line; "" where there was no batch."""
        if not self._whole.padded:
            return ""
        compiling = ", compiling included"
        if self._steady.seconds > 0:
            compiling = " while nothing compiled" if self._steady.seconds < self._whole.seconds else ""
        return (
            f"{_tokens(self._whole.tokens)} in {self._whole.seconds:.1f} s, {self.padding:.0%} padding; "
            f"{self.rates()}{compiling}"
        )


class _Sum:
    def __init__(self) -> None:
        self.seconds, self.tokens, self.padded = 0.0, 0, 0
        self.flops: float | None = 0.0

    def add(self, seconds: float, tokens: int, padded: int, flops: float | None) -> None:
        self.seconds += seconds
        self.tokens += tokens
        self.padded += padded
        self.flops = None if self.flops is None or flops is None else self.flops + flops


def _tokens(number: float) -> str:
    return f"{''.join(_scaled(number))} tokens"


def _scaled(number: float) -> tuple[str, str]:
    """A number that one can read, and the letter for what it is to be multiplied with."""
    for power, letter in ((15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{number / 10**power:.3g}", letter
    return f"{number:.3g}", ""
