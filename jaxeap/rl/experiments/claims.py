"""What arXiv 2509.21044 claims of RL, and what an interval says of a claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from jaxeap.metrics.bootstrap import Interval

Verdict = Literal["supported", "contradicted", "undecided", "missing"]

PAPER_DIRECTIONS: Mapping[str, int] = {"intensity": 1, "complexity": 1, "kurtosis": -1, "diversity": 1}
"""Metric -> +1 where the paper says that online RL (PPO, GRPO) raises it, -1 where it lowers it."""

ONLINE_RL = ("grpo", "dr_grpo", "rloo", "ppo")
"""The methods of which the paper claims it; of DPO it says that the effect is weak or absent."""


def direction(interval: Interval | None) -> int:
    """+1 or -1 where the interval lies on one side of 0, else 0."""
    if interval is None:
        return 0
    return int(interval[0] > 0) - int(interval[1] < 0)


def judge(interval: Interval | None, claimed: int) -> Verdict:
    """Whether an interval supports that the change has the sign `claimed`."""
    if interval is None:
        return "missing"
    found = direction(interval)
    if found == 0:
        return "undecided"
    return "supported" if found == claimed else "contradicted"
