"""Edge scores on disk: shards of a few examples each, complete or not there, found again by question."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import chex
import numpy as np
import numpy.typing as npt

from jaxeap.pipeline.storage.artifacts import (
    first_free,
    intact_tensors,
    read_tensor_metadata,
    read_tensors,
    write_tensors,
)

SUFFIX = ".safetensors"
TENSORS = ("scores", "loss", "gradient_norm")

FloatArray = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Scores of some questions.

    Attributes:
      question_ids: n of them.
      scores: [n, S, J] float32.
      loss: [n] float32, mean -log p over the counted tokens, in nats.
      gradient_norm: [n] float32, of the loss's gradient by the last residual stream.
    """

    question_ids: tuple[str, ...]
    scores: FloatArray
    loss: FloatArray
    gradient_norm: FloatArray

    def __post_init__(self) -> None:
        chex.assert_shape(self.scores, (len(self.question_ids), None, None))
        chex.assert_shape([self.loss, self.gradient_norm], (len(self.question_ids),))
        chex.assert_type([self.scores, self.loss, self.gradient_norm], np.float32)

    def rows(self, rows: Sequence[int]) -> Scores:
        """Some of the questions."""
        ids = tuple(self.question_ids[row] for row in rows)
        return Scores(ids, self.scores[rows], self.loss[rows], self.gradient_norm[rows])


def append_shard(folder: Path, shard: Scores) -> Path:
    """Writes the scores to the first free number in the folder."""
    path = first_free(folder, SUFFIX)
    tensors = {name: getattr(shard, name) for name in TENSORS}
    write_tensors(path, tensors, {"question_ids": shard.question_ids})
    return path


def discard_damaged(folder: Path, question_ids: Collection[str], say: Callable[[str], None]) -> None:
    """Deletes what a run before left in the folder and cannot be gone on from, to be made again.

    That is a shard that is not what was written, by its checksum; one of other questions or of other tensors; and one
    all of whose questions stand in shards before it. To be called before a run first looks into the folder: all shards
    are read, once.

    Args:
      folder: of the shards.
      question_ids: that may be in it.
      say: is told, in a line, of each shard that is deleted.
    """
    wanted, held = set(question_ids), set[str]()

    def fits(tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> bool:
        ids = metadata.get("question_ids", [])
        try:
            _scores_in(tensors, metadata)
        except (AssertionError, KeyError):
            return False
        return bool(ids) and wanted.issuperset(ids)

    for path in _shards(folder):
        if (read := intact_tensors(path, say, fits)) is None:
            continue
        if held.issuperset(ids := read[1]["question_ids"]):
            say(f"{path} holds questions that stand in shards before it; it is removed")
            path.unlink()
        held.update(ids)


def finished_questions(folder: Path) -> set[str]:
    """The questions whose scores are in the folder, by the shards' headers; ValueError where one is damaged."""
    return {id_ for path in _shards(folder) for id_ in read_tensor_metadata(path)["question_ids"]}


def iterate_scores(folder: Path) -> Iterator[Scores]:
    """The shards one by one; ValueError where one is damaged.

    A question counts once: of several shards that hold it, the first one's scores are given.
    """
    given: set[str] = set()
    for path in _shards(folder):
        shard = _scores_in(*read_tensors(path))
        if new := [row for row, id_ in enumerate(shard.question_ids) if id_ not in given]:
            given.update(shard.question_ids)
            yield shard if len(new) == len(shard.question_ids) else shard.rows(new)


def read_scores(folder: Path, question_ids: Sequence[str]) -> Scores:
    """All scores in memory, in the order of `question_ids`.

    Raises:
      ValueError: a question has no scores there, or a shard is damaged.
    """
    place = {id_: index for index, id_ in enumerate(question_ids)}
    scores, missing = None, set(place)
    loss, gradient_norm = np.empty(len(place), np.float32), np.empty(len(place), np.float32)
    for shard in iterate_scores(folder):
        if scores is None:
            scores = np.empty((len(place), *shard.scores.shape[1:]), np.float32)
        rows = [row for row, id_ in enumerate(shard.question_ids) if id_ in place]
        target = [place[shard.question_ids[row]] for row in rows]
        scores[target], loss[target] = shard.scores[rows], shard.loss[rows]
        gradient_norm[target] = shard.gradient_norm[rows]
        missing -= set(shard.question_ids)
    if scores is None or missing:
        raise ValueError(f"{folder} has no scores of {len(missing)} of {len(place)} questions")
    return Scores(tuple(question_ids), scores, loss, gradient_norm)


def _scores_in(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> Scores:
    return Scores(tuple(metadata["question_ids"]), *(tensors[name] for name in TENSORS))


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))
