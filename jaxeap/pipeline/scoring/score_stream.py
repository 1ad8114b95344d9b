"""Scores on disk as the metrics read them: a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxeap.metrics.stream import ScoreStream, Shard
from jaxeap.pipeline.scoring.scores import iterate_scores


def stream_of(folders: Path | Sequence[Path], question_ids: Sequence[str]) -> ScoreStream:
    """The scores of some questions in a folder or in several, example n being question n of `question_ids`."""
    place = {id_: number for number, id_ in enumerate(question_ids)}

    def shards() -> Iterator[Shard]:
        for folder in [folders] if isinstance(folders, Path) else folders:
            for shard in iterate_scores(folder):
                rows = [row for row, id_ in enumerate(shard.question_ids) if id_ in place]
                if rows:
                    places = np.array([place[shard.question_ids[row]] for row in rows])
                    yield places, shard.scores if len(rows) == len(shard.scores) else shard.scores[rows]

    return ScoreStream(len(place), shards)
