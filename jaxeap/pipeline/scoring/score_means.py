"""Means over questions of the edge scores on disk, shard by shard: all questions are never in memory at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxeap.pipeline.scoring.scores import FloatArray, iterate_scores

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreMeans:
    """Means over the questions, and over each of F folds of them.

    Attributes:
      signed, absolute: [S, J] mean score and mean |score|, all questions.
      fold_signed, fold_absolute: [F, S, J], of each fold.
      fold_counts: [F], questions of each fold.
      statistics: [N, K], what `per_example` gave, in the order of the questions; None where there is none.
    """

    signed: Array
    absolute: Array
    fold_signed: Array
    fold_absolute: Array
    fold_counts: Array
    statistics: Array | None


def mean_scores(
    folder: Path,
    question_ids: Sequence[str],
    folds: npt.ArrayLike | None = None,
    per_example: Callable[[FloatArray], Array] | None = None,
) -> ScoreMeans:
    """Reads one cell's shards once.

    Args:
      folder: of the shards.
      question_ids: N questions, each once.
      folds: fold of each question, 0 to F - 1, every fold at least once; None puts all into one.
      per_example: [n, S, J] -> [n, K], what else to compute of each question.

    Raises:
      ValueError: a question has no scores there, or a shard is damaged.
    """
    place = {id_: index for index, id_ in enumerate(question_ids)}
    fold_of = np.zeros(len(place), int) if folds is None else np.asarray(folds)
    counts = np.bincount(fold_of).astype(np.float64)
    sums: tuple[Array, Array] | None = None
    statistics: Array | None = None
    missing = set(place)
    for shard in iterate_scores(folder):
        rows = [row for row, id_ in enumerate(shard.question_ids) if id_ in place]
        if sums is None:
            shape = (len(counts), *shard.scores.shape[1:])
            sums = np.zeros(shape), np.zeros(shape)
        for row in rows:
            fold = fold_of[place[shard.question_ids[row]]]
            sums[0][fold] += shard.scores[row]
            sums[1][fold] += np.abs(shard.scores[row])
        missing -= set(shard.question_ids)
        if per_example is not None and rows:
            found = per_example(shard.scores[rows])
            if statistics is None:
                statistics = np.empty((len(place), found.shape[1]))
            statistics[[place[shard.question_ids[row]] for row in rows]] = found
    if sums is None or missing:
        raise ValueError(f"{folder} has no scores of {len(missing)} of {len(place)} questions")
    signed, absolute = sums
    per_fold = counts[:, None, None]
    return ScoreMeans(
        signed.sum(axis=0) / len(place),
        absolute.sum(axis=0) / len(place),
        signed / per_fold,
        absolute / per_fold,
        counts,
        statistics,
    )
