"""Edge scores on disk: shards of a few examples each, complete or not there, found again by question."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import chex
import numpy as np
import numpy.typing as npt

from jaxeap.pipeline.artifacts import first_free, read_tensor_metadata, read_tensors, write_tensors

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


def finished_questions(folder: Path) -> set[str]:
    """The questions whose scores are in the folder. A shard that cannot be read is deleted, to be made again."""
    finished: set[str] = set()
    for path in _shards(folder):
        try:
            finished.update(read_tensor_metadata(path)["question_ids"])
        except (KeyError, ValueError):
            path.unlink()
    return finished


def iterate_scores(folder: Path) -> Iterator[Scores]:
    """The shards one by one; ValueError where one is damaged."""
    for path in _shards(folder):
        tensors, metadata = read_tensors(path)
        yield Scores(tuple(metadata["question_ids"]), *(tensors[name] for name in TENSORS))


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


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))
