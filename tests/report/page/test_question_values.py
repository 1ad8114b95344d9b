import dataclasses

import numpy as np

from jaxeap.report.page import Content
from jaxeap.report.page.kept_edges import strongest
from jaxeap.report.page.question_values import MOST_CHARACTERS, MOST_QUESTIONS, edges_to_follow, question_data
from tests.report.page.test_kept_edges import unpack


def test_strongest_and_most_changed_edges_are_followed(content: Content):
    assert content.edges is not None
    kept = strongest(content.edges)
    base, tuned = (content.edges.values[role].ravel()[kept] for role in ("base", "tuned"))
    followed = edges_to_follow(content.edges, kept, most=2)
    assert followed[0] == np.argmax(np.maximum(base, tuned))
    change = np.argmax(np.abs(tuned - base))
    assert change in followed or change == followed[0]
    assert sorted(edges_to_follow(content.edges, kept)) == list(range(46))


def test_scores_are_those_of_edge_and_question(content: Content):
    assert content.edges is not None
    assert content.questions is not None
    kept = strongest(content.edges)
    followed = np.array([3, 0])
    data = question_data(content.questions, kept, followed)
    scores = np.concatenate([block for _, block in content.questions.tuned()])
    np.testing.assert_array_equal(unpack(data["tuned"]), scores.reshape(len(scores), -1)[:, kept[followed]].T)
    assert data["ids"] == list(content.questions.ids)


def test_of_many_questions_some_are_taken_and_long_texts_are_cut(content: Content):
    assert content.edges is not None
    assert content.questions is not None
    number = 3 * MOST_QUESTIONS
    ids = tuple(map(str, range(number)))
    shape = content.edges.mask.shape
    scores = np.broadcast_to(np.arange(number, dtype=np.float32)[:, None, None], (number, *shape))
    many = dataclasses.replace(
        content.questions, ids=ids, texts=("word " * 100,) * number, levels=("",) * number,
        base=lambda: iter([(ids, scores)]), tuned=lambda: iter([(ids[:1], scores[:1])]),
    )  # fmt: skip
    data = question_data(many, strongest(content.edges), np.array([0]))
    assert data["total"] == number
    assert len(data["ids"]) == MOST_QUESTIONS
    assert (data["ids"][0], data["ids"][-1]) == ("0", str(number - 1))
    np.testing.assert_array_equal(unpack(data["base"])[0], [float(id_) for id_ in data["ids"]])
    assert np.isnan(unpack(data["tuned"])[0, 1:]).all()
    assert len(data["texts"][0]) == MOST_CHARACTERS
