"""What every method is told: which graph, which ablation, how much of the contraction at once."""

from __future__ import annotations

import dataclasses
import functools

import jax

from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.interventions import Ablation
from jaxeap.models.config import ModelConfig


@functools.partial(jax.tree_util.register_dataclass, data_fields=["seed"], meta_fields=["level", "ablation", "chunk"])
@dataclasses.dataclass(frozen=True)
class Settings:
    """A pytree of which only the seed is data: another seed compiles nothing anew.

    Attributes:
      level: of the graph.
      ablation: what sources are replaced by.
      chunk: positions of an example expanded at once.
      seed: of the draw for ablation "resample".
    """

    level: Level
    ablation: Ablation
    chunk: int
    seed: int | jax.Array = 0

    def graph(self, config: ModelConfig) -> EdgeGraph:
        """The graph at this level."""
        return EdgeGraph.for_config(config, self.level)
