"""What every method is told: which graph, which ablation, how much of the contraction at once."""

from __future__ import annotations

import dataclasses

from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.interventions import Ablation
from jaxeap.models.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Settings:
    """Hashable, so that it can be a static argument of a jitted method.

    Attributes:
      level: of the graph.
      ablation: what sources are replaced by.
      chunk: positions expanded at once.
      seed: of the draw for ablation "resample".
    """

    level: Level
    ablation: Ablation
    chunk: int
    seed: int = 0

    def graph(self, config: ModelConfig) -> EdgeGraph:
        """The graph at this level."""
        return EdgeGraph.for_config(config, self.level)
