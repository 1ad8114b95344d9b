"""Stretching rotary embedding beyond the lengths that a model was first trained on, as transformers does it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class LinearScaling:
    """Positions are divided by `factor` (position interpolation; Chen et al. 2023, arXiv 2306.15595)."""

    factor: float

    def stretch(self, frequencies: np.ndarray, theta: float) -> np.ndarray:
        """The frequencies [K / 2] that are rotated by."""
        return frequencies / self.factor


@dataclasses.dataclass(frozen=True)
class Llama3Scaling:
    """Waves longer than the training length are stretched by `factor`, short ones left alone, blended in between.

    Attributes:
      factor: of the stretching.
      low_frequency_factor, high_frequency_factor: waves longer than original_length / low are stretched, those shorter
        than original_length / high are not.
      original_length: positions that the model was trained on before.
    """

    factor: float
    low_frequency_factor: float
    high_frequency_factor: float
    original_length: int

    def __post_init__(self) -> None:
        if not self.low_frequency_factor < self.high_frequency_factor:
            raise ValueError(
                f"llama3 RoPE scaling needs low_freq_factor < high_freq_factor, got {self.low_frequency_factor} and "
                f"{self.high_frequency_factor}"
            )

    def stretch(self, frequencies: np.ndarray, theta: float) -> np.ndarray:
        """The frequencies [K / 2] that are rotated by."""
        turns = self.original_length * frequencies / (2 * math.pi)
        kept = (turns - self.low_frequency_factor) / (self.high_frequency_factor - self.low_frequency_factor)
        kept = np.clip(kept, 0, 1)
        return kept * frequencies + (1 - kept) * frequencies / self.factor


@dataclasses.dataclass(frozen=True)
class YarnScaling:
    """Channels that turn often over the training length are left alone, the rest stretched (arXiv 2309.00071).

    Attributes:
      factor: of the stretching.
      original_length: positions that the model was trained on before.
      beta_fast, beta_slow: channels with more turns than the first are left alone, those with fewer than the second
        stretched in full, with a ramp over the channels in between.
      attention_factor: multiplies queries and keys; None for 0.1 ln(factor) + 1.
      truncate: whether the ramp's ends are rounded to whole channels.
    """

    factor: float
    original_length: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True

    def stretch(self, frequencies: np.ndarray, theta: float) -> np.ndarray:
        """The frequencies [K / 2] that are rotated by."""
        width = 2 * len(frequencies)

        def channel_with(turns: float) -> float:
            return width * math.log(self.original_length / (turns * 2 * math.pi)) / (2 * math.log(theta))

        first, last = channel_with(self.beta_fast), channel_with(self.beta_slow)
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, width - 1)
        stretched = np.clip((np.arange(width // 2) - first) / (max(last - first, 0) or 0.001), 0, 1)
        return stretched * frequencies / self.factor + (1 - stretched) * frequencies

    @property
    def magnitude(self) -> float:
        """What queries and keys are multiplied by."""
        if self.attention_factor is not None:
            return self.attention_factor
        return 1.0 if self.factor <= 1 else 0.1 * math.log(self.factor) + 1.0


@dataclasses.dataclass(frozen=True)
class LongRopeScaling:
    """Each pair of channels is stretched by a factor of its own, which depends on the length (arXiv 2402.13753).

    Attributes:
      short_factors: of sequences up to the original length.
      long_factors: of those beyond it.
      original_length: positions that the model was trained on before.
      attention_factor: multiplies queries and keys.
    """

    short_factors: tuple[float, ...]
    long_factors: tuple[float, ...]
    original_length: int
    attention_factor: float

    def stretch(self, frequencies: np.ndarray, theta: float) -> np.ndarray:
        """The frequencies [K / 2] that sequences up to the original length are rotated by."""
        return frequencies / np.array(self.short_factors)

    def stretch_long(self, frequencies: np.ndarray) -> np.ndarray:
        """The frequencies [K / 2] that longer sequences are rotated by."""
        return frequencies / np.array(self.long_factors)

    @property
    def magnitude(self) -> float:
        """What queries and keys are multiplied by."""
        return self.attention_factor


RopeScaling = LinearScaling | Llama3Scaling | YarnScaling | LongRopeScaling
