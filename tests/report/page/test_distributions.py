import dataclasses

import numpy as np

from jaxeap.report.page import Content
from jaxeap.report.page.distributions import bin_edges, count_scores, distribution_data


def test_counts_are_those_of_numpy(content: Content):
    assert content.edges is not None
    assert content.questions is not None
    scores = np.concatenate([block for _, block in content.questions.base()])
    magnitudes = np.abs(scores[:, content.edges.mask]).ravel().astype(np.float64)
    counts, zeros, number = count_scores(content.questions.base, content.edges.mask, set(content.questions.ids))
    np.testing.assert_array_equal(counts, np.histogram(magnitudes, bin_edges())[0])
    assert (zeros, number) == (0, magnitudes.size)


def test_shares_and_tails(content: Content):
    assert content.edges is not None
    assert content.questions is not None
    data = distribution_data(content.edges, content.questions)
    assert data is not None
    scores = np.concatenate([block for _, block in content.questions.tuned()])
    magnitudes = np.abs(scores[:, content.edges.mask]).ravel().astype(np.float64)
    found = data["models"]["tuned"]
    for edge, at_least in zip(data["edges"], found["at_least"], strict=False):
        np.testing.assert_allclose(at_least, np.mean(magnitudes >= edge), atol=1e-12)
    assert len(data["edges"]) == len(found["share"]) + 1
    assert 0.99 < sum(found["share"]) <= 1 + 1e-12


def test_zeros_count_in_the_shares_and_nothing_but_zeros_is_no_distribution(content: Content):
    assert content.edges is not None
    assert content.questions is not None
    mask = content.edges.mask

    def shards(value: float):
        scores = np.zeros((2, *mask.shape), np.float32)
        scores[0, mask] = value
        return lambda: iter([(("q0", "q1"), scores)])

    questions = dataclasses.replace(content.questions, ids=("q0", "q1"), base=shards(0.5), tuned=shards(0.0))
    data = distribution_data(content.edges, questions)
    assert data is not None
    assert data["models"]["base"] == {"share": [0.5], "at_least": [0.5], "zeros": mask.sum(), "scores": 2 * mask.sum()}
    nothing = dataclasses.replace(questions, base=shards(0.0))
    assert distribution_data(content.edges, nothing) is None
