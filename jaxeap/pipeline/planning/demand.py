"""What the programs of a run ask a device for, with any number of rows and on any mesh."""

from __future__ import annotations

import dataclasses
import math

import ml_collections

from jaxeap.attribution.graph import Level
from jaxeap.attribution.interventions import Ablation
from jaxeap.models.config import ModelConfig
from jaxeap.parallel.automatic import MeshSizes, weight_bytes
from jaxeap.pipeline.planning.answering import answering_memory
from jaxeap.pipeline.planning.memory import NOT_TRACED, Memory, Scoring
from jaxeap.pipeline.planning.on_mesh import part_of_shape, scoring_memory_on
from jaxeap.pipeline.planning.workload import Workload
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.paged_cache import CacheLayout, cache_groups, cache_layout

ABLATION: Ablation = "zero"
"""What is traced; other ablations need more inputs, which take next to nothing beside the captures."""


@dataclasses.dataclass(frozen=True)
class Demand:
    """What decides over it.

    Attributes:
      shape: of the decoder, the larger one of the pair.
      dtype: of its weights.
      method, level: of the scores.
      options: of the answers.
      work: how much there is to answer and to score.
    """

    shape: ModelConfig
    dtype: str
    method: str
    level: Level
    options: SamplingOptions
    work: Workload

    @classmethod
    def of(cls, config: ml_collections.ConfigDict, shape: ModelConfig, work: Workload) -> Demand:
        """That of a run with these settings."""
        method = "eap" if config.attribution.method in NOT_TRACED else config.attribution.method
        return cls(shape, config.dtype, method, config.attribution.level, SamplingOptions(**config.sampling), work)

    @property
    def answers(self) -> int:
        """How many each model writes."""
        return self.work.questions * self.options.samples

    def weights(self, mesh: MeshSizes) -> int:
        """Bytes on each device, of the one model that is in memory at a time."""
        return weight_bytes(self.shape, self.dtype, mesh.fsdp, mesh.tensor)

    def layout(self, rows: int) -> CacheLayout:
        """The cache in which `rows` answers are written at once."""
        return cache_layout(self.shape, self.options, rows, self.work.longest_prompt)

    def writers(self, rows: int, mesh: MeshSizes) -> int:
        """Groups of devices that share out the rows that are answered at once."""
        return cache_groups(self.layout(rows), rows, mesh.data)

    def share(self, rows: int, mesh: MeshSizes) -> int:
        """Rows of a scored batch that each group of devices has, those among them that fill it up evenly."""
        return math.ceil(rows / mesh.data)

    def answering(self, rows: int, mesh: MeshSizes, shared: bool = True) -> Memory:
        """While `rows` answers are written at once; `shared` out over groups of devices where that can be."""
        own = rows // self.writers(rows, mesh) if shared else rows
        part = part_of_shape(self.shape, mesh)
        return answering_memory(part, self.dtype, self.options, own, self.work.longest_prompt)

    def scoring(self, rows: int, mesh: MeshSizes) -> Memory:
        """While `rows` examples are scored at once."""
        sizes = (self.share(rows, mesh), self.work.scored_length, self.work.scored_width)
        return scoring_memory_on(mesh, Scoring(self.shape, self.dtype, self.method, self.level, ABLATION, *sizes))
