"""How answers are drawn, when they end, and how much memory their making may take."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingOptions:
    """The choices of generation; the defaults are greedy, as in the paper.

    Attributes:
      max_new_tokens: an answer that has not ended by then is cut.
      temperature: divides the logits before drawing; 0 is greedy.
      top_k: only the k most likely tokens are drawn from; 0 for all.
      top_p: only the most likely tokens are drawn from, as few as have this share of the probability together (after
        top_k); 1 for all (Holtzman et al. 2020, arXiv 1904.09751).
      samples: answers to each prompt.
      seed: of the draws.
      stop_strings: an answer ends with the token that completes one of them; its text ends before it.
      batch_size: how many answers are written at once.
      cache_block: tokens in a block of the key/value cache.
      cache_tokens: tokens that the whole cache has room for, at most; None gives every row of the batch room for the
        longest answer. With less, answers that find no room are set aside on the host until there is some.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    samples: int = 1
    seed: int = 0
    stop_strings: tuple[str, ...] = ()
    batch_size: int = 128
    cache_block: int = 64
    cache_tokens: int | None = None

    def __post_init__(self) -> None:
        greedy = self.temperature == 0
        rules = {
            **{
                f"{name} ({getattr(self, name)}) must be at least 1": (getattr(self, name) or 0) >= 1
                for name in ("max_new_tokens", "samples", "batch_size", "cache_block")
            },
            f"cache_tokens ({self.cache_tokens}) must be None or at least cache_block ({self.cache_block})": (
                self.cache_tokens is None or self.cache_tokens >= self.cache_block
            ),
            f"seed ({self.seed}) must be 0 or more": self.seed >= 0,
            f"temperature ({self.temperature}) must be 0 (greedy) or above, and finite": (
                0 <= self.temperature < math.inf
            ),
            f"top_k ({self.top_k}) must be 0 (all tokens) or more": self.top_k >= 0,
            f"top_p ({self.top_p}) must be above 0 and at most 1": 0 < self.top_p <= 1,
            "top_k and top_p have no meaning at temperature 0; leave them at 0 and 1, or raise the temperature": (
                not greedy or (self.top_k == 0 and self.top_p == 1)
            ),
            f"samples ({self.samples}) would all be equal at temperature 0; raise the temperature": (
                not greedy or self.samples == 1
            ),
            f"stop_strings ({self.stop_strings!r}) must be a tuple of texts that are not empty": (
                not isinstance(self.stop_strings, str)
                and all(isinstance(text, str) and text for text in self.stop_strings)
            ),
        }
        if broken := [rule for rule, holds in rules.items() if not holds]:
            raise ValueError("; ".join(broken))
