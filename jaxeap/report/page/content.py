"""What the page is made of: finished results, each of them optional but the metrics."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Shards = Callable[[], Iterable[tuple[Sequence[str], FloatArray]]]
"""Opens one model's scores: blocks of question ids with their scores [n, S, J], in any order."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredEdges:
    """The graph, with what is known of every edge.

    Attributes:
      level: "block" or "head".
      sources, destinations: S and J node names.
      mask: [S, J] bool, True where there is an edge.
      values: [S, J] float32 arrays `base` and `tuned` (mean |score| in nats), `difference`, its interval `low` and
        `high`, `q_value`, and where known `base_signed`, `tuned_signed`; NaN where there is no edge or no value.
    """

    level: str
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    mask: npt.NDArray[np.bool_]
    values: Mapping[str, FloatArray]


@dataclasses.dataclass(frozen=True, eq=False)
class Questions:
    """The compared questions, with the scores of both models on their own answers.

    Attributes:
      ids, texts, levels: of N questions; a level is "" where the set has none.
      base, tuned: open the scores.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    levels: tuple[str, ...]
    base: Shards
    tuned: Shards


@dataclasses.dataclass(frozen=True)
class Models:
    """How the two models are called in titles: the names of their folders."""

    base: str
    tuned: str


@dataclasses.dataclass(frozen=True, eq=False)
class Content:
    """Everything that the page may show. What is None says so on the page, in one line.

    Attributes:
      models: their names.
      metrics: the content of contrast/metrics.json.
      choices: lines on the choices behind the metrics, for below the table.
      edges, questions: for the maps, the graphs and the distributions.
      controls, audit, circuits, correlates, weights: the content of the JSON file of each stage.
      settings: every setting on which a result depends, by its dotted key.
      hashes: of the content of files behind the results, name -> hash.
      stages: for each stage its name, seconds, and number and fingerprint of its files.
      environment: of the machine that wrote the page, name -> value.
      notes: name -> one line on why a part is missing, where the stage has said so.
    """

    models: Models
    metrics: Mapping[str, Any]
    choices: Sequence[str] = ()
    edges: ScoredEdges | None = None
    questions: Questions | None = None
    controls: Mapping[str, Any] | None = None
    audit: Mapping[str, Any] | None = None
    circuits: Mapping[str, Any] | None = None
    correlates: Mapping[str, Any] | None = None
    weights: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stages: Sequence[Mapping[str, Any]] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
