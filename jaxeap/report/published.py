"""What has been published of the paper's Table 1, to be printed beside a reproduction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

SOURCE = "arXiv 2509.21044, Table 1"


@dataclasses.dataclass(frozen=True)
class PublishedCell:
    """One cell of Table 1.

    Attributes:
      pair, dataset: named as in configs/grid/paper.py.
      alpha: the truncation length, as a share of the reference length.
      method: by which the tuned model was made.
      values: metric -> (base, tuned).
    """

    pair: str
    dataset: str
    alpha: float
    method: str
    values: Mapping[str, tuple[float, float]]


PUBLISHED = (
    PublishedCell(
        "deepseek_math",
        "math",
        0.1,
        "GRPO",
        {"intensity": (1.10e-3, 1.31e-3), "complexity": (0.172, 0.247), "kurtosis": (357, 223)},
    ),
    PublishedCell(
        "mistral",
        "math",
        0.3,
        "PPO",
        {"intensity": (4.49e-4, 4.92e-4), "complexity": (0.0413, 0.286), "kurtosis": (335, 265)},
    ),
    PublishedCell(
        "distilled_qwen",
        "gsm8k",
        0.1,
        "GRPO",
        {"intensity": (6.71e-4, 7.72e-4), "complexity": (0.160, 0.264), "kurtosis": (766, 560)},
    ),
    PublishedCell(
        "qwen25",
        "college_math",
        0.3,
        "DPO",
        {"intensity": (4.76e-4, 4.69e-4), "complexity": (0.123, 0.0995), "kurtosis": (751, 651)},
    ),
)
"""The cells whose figures are known here; 100 questions each."""


def published_cell(pair: str, dataset: str, alpha: float) -> PublishedCell | None:
    """The published figures of a cell, or None where they are not known."""
    return next((c for c in PUBLISHED if (c.pair, c.dataset) == (pair, dataset) and abs(c.alpha - alpha) < 1e-9), None)
