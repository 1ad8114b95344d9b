"""The residual graph: which nodes write into the residual stream, which read from it, and which pairs are edges."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from jaxeap.models.config import ModelConfig

Level = Literal["block", "head"]
SourceKind = Literal["embed", "attention", "mlp"]
ConstantKind = Literal["positions", "bias"]
DestinationKind = Literal["query", "key", "value", "mlp", "logits"]


class Source(NamedTuple):
    """A writer: its layer (-1 for the embedding) and, at head level, its head (else 0)."""

    kind: SourceKind
    layer: int
    head: int = 0


class Destination(NamedTuple):
    """A reader: its layer (L for the logits) and, at head level, its query or key/value head (else 0)."""

    kind: DestinationKind
    layer: int
    head: int = 0


class Constant(NamedTuple):
    """A writer that no input moves: the position embeddings (layer -1) or the output bias of a layer's attention."""

    kind: ConstantKind
    layer: int


@dataclasses.dataclass(frozen=True, eq=False)
class EdgeGraph:
    """Sources, destinations and edges of a decoder at one level.

    Attributes:
      level: "block" (a layer's attention is one source and three destinations) or "head" (each head is a node; keys
        and values have the model's own G heads).
      sources: names of the S writers, in the order in which they write: embed, then each layer's a{l}.., m{l}.
      destinations: names of the J readers: per layer queries, keys, values, then m{l}; logits last.
      mask: [S, J] bool, True where the source is written before the destination reads.
      source_nodes, destination_nodes: the same nodes as (kind, layer, head).
      constant_nodes: writers that are no rows of the scores, for nothing that the model is given changes them; with
        them, what a destination reads is the sum of its sources. At block level an output bias is part of `a{l}`.
      constant_mask: [C, J] bool, the same as `mask` for the constant sources.
    """

    level: Level
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    mask: np.ndarray
    source_nodes: tuple[Source, ...]
    destination_nodes: tuple[Destination, ...]
    constant_nodes: tuple[Constant, ...] = ()
    constant_mask: np.ndarray | None = None

    @classmethod
    def for_config(cls, config: ModelConfig, level: Level = "block") -> EdgeGraph:
        """The graph of a decoder.

        Raises:
          ValueError: `level` is neither "block" nor "head".
        """
        if level not in ("block", "head"):
            raise ValueError(f"level {level!r} is unknown; use 'block' or 'head'")
        heads, kv_heads = (config.num_heads, config.num_kv_heads) if level == "head" else (1, 1)
        source_nodes, destination_nodes = [Source("embed", -1)], []
        for layer in range(config.num_layers):
            source_nodes += [Source("attention", layer, head) for head in range(heads)] + [Source("mlp", layer)]
            destination_nodes += [Destination("query", layer, head) for head in range(heads)]
            destination_nodes += [Destination("key", layer, head) for head in range(kv_heads)]
            destination_nodes += [Destination("value", layer, head) for head in range(kv_heads)]
            destination_nodes += [Destination("mlp", layer)]
        destination_nodes.append(Destination("logits", config.num_layers))
        constant_nodes = [Constant("positions", -1)] if config.learned_positions else []
        if config.output_bias and level == "head":
            constant_nodes += [Constant("bias", layer) for layer in range(config.num_layers)]
        written = np.array([_time_written(node) for node in source_nodes])
        read = np.array([_time_read(node, config.parallel_blocks) for node in destination_nodes])
        return cls(
            level=level,
            sources=tuple(_source_name(node, level) for node in source_nodes),
            destinations=tuple(_destination_name(node, level) for node in destination_nodes),
            mask=written[:, None] < read[None, :],
            source_nodes=tuple(source_nodes),
            destination_nodes=tuple(destination_nodes),
            constant_nodes=tuple(constant_nodes),
            constant_mask=np.array([_time_written(node) for node in constant_nodes])[:, None] < read[None, :],
        )

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of the constant sources: "positions", "a{l}.bias"."""
        return tuple("positions" if node.kind == "positions" else f"a{node.layer}.bias" for node in self.constant_nodes)

    @property
    def num_edges(self) -> int:
        """How many pairs are edges."""
        return int(self.mask.sum())

    def edge_index(self, source: str, destination: str) -> tuple[int, int]:
        """Row and column of the edge between two named nodes.

        Raises:
          ValueError: a name is unknown, or the pair is no edge.
        """
        for name, names in ((source, self.sources), (destination, self.destinations)):
            if name not in names:
                raise ValueError(f"node {name!r} is not in the {self.level}-level graph; it has {', '.join(names)}")
        row, column = self.sources.index(source), self.destinations.index(destination)
        if not self.mask[row, column]:
            raise ValueError(f"{source} -> {destination} is no edge: {destination} reads before {source} writes")
        return row, column

    def edge_names(self, edges: Sequence[tuple[int, int]] | np.ndarray) -> list[str]:
        """ "source->destination" of each (row, column)."""
        return [f"{self.sources[row]}->{self.destinations[column]}" for row, column in edges]


def _time_written(node: Source | Constant) -> float:
    """Moment in the forward pass: layer l's attention writes at 2l + 1, its feed-forward layer at 2l + 2."""
    if node.layer < 0:
        return 0
    return 2 * node.layer + (2 if node.kind == "mlp" else 1)


def _time_read(node: Destination, parallel: bool) -> float:
    """Attention reads before anything of its layer is written, the feed-forward layer after its layer's attention or,
    in parallel blocks, when attention does."""
    return 2 * node.layer + (1.5 if node.kind == "mlp" and not parallel else 0.5)


def _source_name(node: Source, level: Level) -> str:
    if node.kind == "embed":
        return "embed"
    if node.kind == "mlp":
        return f"m{node.layer}"
    return f"a{node.layer}.h{node.head}" if level == "head" else f"a{node.layer}"


def _destination_name(node: Destination, level: Level) -> str:
    if node.kind == "logits":
        return "logits"
    if node.kind == "mlp":
        return f"m{node.layer}"
    letter = node.kind[0]
    if level == "block":
        return f"a{node.layer}<{letter}>"
    return f"a{node.layer}.{'h' if node.kind == 'query' else 'kv'}{node.head}<{letter}>"
