"""The scores of the strongest edges, question by question, for whoever clicks on an edge."""

from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.report.page.content import Questions, ScoredEdges, Shards
from jaxeap.report.page.embedding import packed
from jaxeap.report.page.kept_edges import Places

MOST_EDGES = 80
MOST_QUESTIONS = 400
MOST_CHARACTERS = 160


def edges_to_follow(edges: ScoredEdges, kept: Places, most: int = MOST_EDGES) -> Places:
    """Places in `kept`: half of them the strongest edges in either model, half those that changed most."""
    base, tuned = (np.nan_to_num(edges.values[role].ravel()[kept]) for role in ("base", "tuned"))
    by_strength, by_change = (
        np.argsort(-values, kind="stable") for values in (np.fmax(base, tuned), abs(tuned - base))
    )
    alternating = np.stack([by_strength, by_change], axis=1).ravel()
    return np.array([*dict.fromkeys(alternating.tolist())][:most], np.intp)


def question_data(questions: Questions, kept: Places, followed: Places) -> dict[str, Any]:
    """Scores [edges, questions] of both models, with the beginning of every question's text.

    Of many questions so many as fit, evenly taken from the list.
    """
    total = len(questions.ids)
    taken = np.unique(np.linspace(0, total - 1, min(total, MOST_QUESTIONS)).round().astype(int))
    ids = [questions.ids[place] for place in taken]
    flat = kept[followed]
    return {
        "total": total,
        "edges": packed(followed.astype(np.uint32)),
        "ids": ids,
        "texts": [_beginning(questions.texts[place]) for place in taken],
        "levels": [questions.levels[place] for place in taken],
        "base": packed(_scores(questions.base, ids, flat)),
        "tuned": packed(_scores(questions.tuned, ids, flat)),
    }


def _scores(shards: Shards, ids: list[str], flat: Places) -> npt.NDArray[np.float32]:
    """[edges, questions], NaN where a question has no scores."""
    place = {id_: column for column, id_ in enumerate(ids)}
    values = np.full((len(flat), len(ids)), np.nan, np.float32)
    for shard_ids, scores in shards():
        rows = [row for row, id_ in enumerate(shard_ids) if id_ in place]
        if rows:
            values[:, [place[shard_ids[row]] for row in rows]] = scores.reshape(len(scores), -1)[rows][:, flat].T
    return values


def _beginning(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
