"""Teacher-forced log-probabilities against one pass a pair, unpadded."""

import numpy as np
import pytest
import scipy.special

from jaxeap.models.model import Decoder
from jaxeap.rl.answered import Answered, answer_log_probs

PAIRS = [([3, 4, 5], [6, 7]), ([9], [2, 3, 4, 5]), ([8, 7, 6, 5, 4], [1])]


def test_from_tokens_pads_prompts_and_answers_on_their_own() -> None:
    answered = Answered.from_tokens(PAIRS)
    np.testing.assert_array_equal(answered.prompts, [[3, 4, 5, 0, 0], [9, 0, 0, 0, 0], [8, 7, 6, 5, 4]])
    assert answered.prompt_lengths.tolist() == [3, 1, 5]
    np.testing.assert_array_equal(answered.answers, [[6, 7, 0, 0], [2, 3, 4, 5], [1, 0, 0, 0]])
    assert answered.mask.sum(axis=1).tolist() == [2, 4, 1] and answered.mask[:, 0].all()
    assert len(answered) == 3
    assert answered.take(np.array([2, 0])).prompt_lengths.tolist() == [5, 3]


@pytest.mark.parametrize(("pairs", "message"), [([], "no answered"), ([([1], [])], "answer"), ([([], [1])], "prompt")])
def test_empty_pairs_are_refused(pairs: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Answered.from_tokens(pairs)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_equal_those_of_single_unpadded_sequences(model: Decoder, temperature: float) -> None:
    log_probs = np.asarray(answer_log_probs(model.weights, model.config, Answered.from_tokens(PAIRS), temperature))
    for row, (prompt, answer) in enumerate(PAIRS):
        sequence = prompt + answer
        logits = np.asarray(model(np.array([sequence], np.int32)))[0].astype(np.float64) / temperature
        expected = [
            logits[place - 1, sequence[place]] - scipy.special.logsumexp(logits[place - 1])
            for place in range(len(prompt), len(sequence))
        ]
        np.testing.assert_allclose(log_probs[row, : len(answer)], expected, atol=1e-5)
        assert not log_probs[row, len(answer) :].any()


def test_more_padding_changes_nothing(model: Decoder) -> None:
    answered = Answered.from_tokens(PAIRS)
    wider = Answered(
        np.pad(answered.prompts, ((0, 0), (0, 3)), constant_values=11),
        answered.prompt_lengths,
        np.pad(answered.answers, ((0, 0), (0, 2)), constant_values=12),
        np.pad(answered.mask, ((0, 0), (0, 2))),
    )
    narrow, wide = (np.asarray(answer_log_probs(model.weights, model.config, x)) for x in (answered, wider))
    np.testing.assert_allclose(wide[:, :4], narrow, atol=1e-6)
    assert not wide[:, 4:].any()
