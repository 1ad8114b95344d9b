"""The choices that the paper's metric definitions leave open."""

import dataclasses
from typing import Any, Literal, get_args

Entries = Literal["all", "edges"]
BinRange = Literal["shared", "per_model"]
KurtosisDefinition = Literal["fisher", "pearson"]
Correlation = Literal["signed", "absolute"]


@dataclasses.dataclass(frozen=True)
class MetricOptions:
    """Choices behind the metrics of arXiv 2509.21044; the defaults match the paper best.

    Attributes:
        entries: "all" takes every entry of the [S, J] matrix, structural zeros included, as the paper does; "edges"
            takes the edges of the graph only. Read by intensity, complexity, kurtosis and diversity. The robust
            companions and the node output entropy look at edges whatever this says (see their docstrings).
        bins: number of equal-width histogram bins of the information complexity.
        bin_range: "shared" lets one range, from 0 to the largest |score| of both models, serve both histograms, so
            that a model with larger scores also fills more bins: complexity then answers to scale and to shape.
            "per_model" gives each model its own largest |score|: complexity then answers to shape alone.
        kurtosis: "fisher" is excess kurtosis (0 for a normal distribution), "pearson" is not (3 for a normal one).
        correlation: inter-sample diversity correlates the "signed" scores, or their "absolute" values.
        top_share: of the edges, whose share of the total |score| is the top mass; at least one edge is taken.

    Raises:
        ValueError: when a value is none of those above.
    """

    entries: Entries = "all"
    bins: int = 100
    bin_range: BinRange = "shared"
    kurtosis: KurtosisDefinition = "fisher"
    correlation: Correlation = "signed"
    top_share: float = 0.01

    def __post_init__(self) -> None:
        for name, choices in (
            ("entries", get_args(Entries)),
            ("bin_range", get_args(BinRange)),
            ("kurtosis", get_args(KurtosisDefinition)),
            ("correlation", get_args(Correlation)),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, choices))}")
        if isinstance(self.bins, bool) or not isinstance(self.bins, int) or self.bins < 2:
            raise ValueError(f"bins is {self.bins!r}; give a whole number of at least 2")
        if isinstance(self.top_share, bool) or not isinstance(self.top_share, float) or not 0 < self.top_share <= 1:
            raise ValueError(f"top_share is {self.top_share!r}; give a number above 0 and at most 1.0")

    def describe(self) -> str:
        """One line for tables: the choices in words."""
        entries = {"all": "all matrix entries, structural zeros included", "edges": "edges only"}[self.entries]
        bin_range = {"shared": "one range for both models", "per_model": "a range per model"}[self.bin_range]
        kurtosis = {"fisher": "excess", "pearson": "Pearson"}[self.kurtosis]
        return (
            f"{entries}; {self.bins} bins, {bin_range}; {kurtosis} kurtosis; correlation of {self.correlation} scores; "
            f"top mass of {100 * self.top_share:g}% of edges"
        )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
