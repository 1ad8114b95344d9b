"""How differences are judged."""

import dataclasses
from typing import Literal, get_args

from jaxeap.metrics.bootstrap import check_confidence

Method = Literal["bca", "percentile"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclasses.dataclass(frozen=True)
class InferenceOptions:
    """Choices behind intervals and p-values.

    Attributes:
        resamples: number of bootstrap resamples of the questions.
        seed: of the resamples and of the permutations.
        confidence: coverage of the intervals.
        method: "bca", bias-corrected and accelerated, where it is defined, else as "percentile".
        permutations: most sign patterns of the permutation test; where 2^N is no more, all of them are taken. 0 leaves
            p-values out.

    Raises:
        ValueError: when a value makes no sense.
    """

    resamples: int = 10_000
    seed: int = 0
    confidence: float = 0.95
    method: Method = "bca"
    permutations: int = 10_000

    def __post_init__(self) -> None:
        check_confidence(self.confidence)
        if self.method not in METHODS:
            raise ValueError(f"the interval method is {self.method!r}; choose one of {', '.join(METHODS)}")
        if self.permutations < 0:
            raise ValueError(f"permutations is {self.permutations}; give 0 (no test) or more")
