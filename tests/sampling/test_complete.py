"""The core against one full forward pass a token, and its draws against the distribution that they should have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxeap.models.model import Decoder
from jaxeap.sampling.batching import pad_right
from jaxeap.sampling.complete import choose, complete

PROMPTS = [[3, 4, 5], [7], [9, 8, 7, 6, 5, 4], [31, 2, 2]]


def run(model: Decoder, prompts: list[list[int]], keys: jax.Array, **options):
    tokens, lengths = pad_right(prompts, 8, len(prompts))
    return jax.device_get(complete(model.weights, model.config, tokens, lengths, keys, **options))


def keys_for(rows: int, answers: int = 1, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), (rows, answers))


def test_greedy_equals_full_prefix_decoding_with_log_probs_and_stops(model: Decoder, next_logits) -> None:
    free = run(model, PROMPTS, keys_for(4), max_new_tokens=9, stop_tokens=(), temperature=0.0)
    assert free.mask.all()
    # A token that some answers reach and others do not, so that rows end at different steps.
    stop = int(free.tokens[0, 0, 2])
    stopped = run(model, PROMPTS, keys_for(4), max_new_tokens=9, stop_tokens=(stop,), temperature=0.0)
    assert len({int(row.sum()) for row in stopped.mask[:, 0]}) > 1
    for row, prompt in enumerate(PROMPTS):
        tokens = list(prompt)
        for step in range(9):
            logits = next_logits(tokens)
            assert free.tokens[row, 0, step] == logits.argmax()
            np.testing.assert_allclose(
                free.log_probs[row, 0, step], logits.max() - scipy.special.logsumexp(logits), atol=1e-5
            )
            tokens.append(int(logits.argmax()))
        answer = free.tokens[row, 0].tolist()
        length = answer.index(stop) + 1 if stop in answer else 9
        assert stopped.mask[row, 0].tolist() == [step < length for step in range(9)]
        assert stopped.tokens[row, 0].tolist() == answer[:length] + [0] * (9 - length)
        assert not stopped.log_probs[row, 0, length:].any()


def test_rows_of_length_zero_are_not_answered_and_do_not_keep_the_loop_running(model: Decoder) -> None:
    completed = run(model, [[], [3, 4]], keys_for(2), max_new_tokens=5, stop_tokens=tuple(range(32)), temperature=1.0)
    assert completed.mask.sum(axis=-1).tolist() == [[0], [1]]
    assert not completed.tokens[0].any()


def test_several_answers_to_a_prompt_equal_the_same_prompt_given_several_times(model: Decoder) -> None:
    options = dict(max_new_tokens=5, stop_tokens=(1, 2, 3), temperature=1.0)
    together = run(model, PROMPTS, keys_for(4, 3), **options)
    repeated = run(model, [prompt for prompt in PROMPTS for _ in range(3)], keys_for(4, 3).reshape(12, 1), **options)
    assert together.tokens.shape == (4, 3, 5)
    np.testing.assert_array_equal(together.tokens.reshape(12, 1, 5), repeated.tokens)
    np.testing.assert_allclose(together.log_probs.reshape(12, 1, 5), repeated.log_probs, atol=1e-6)
    assert len({tuple(answer) for answer in together.tokens[0].tolist()}) > 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_draws_have_the_tempered_distribution_and_report_its_log_probs(temperature: float) -> None:
    logits = np.array([2.0, 1.0, 0.0, -1.0, 0.5], np.float32)
    count = 4000
    tokens, log_probs = choose(
        jnp.broadcast_to(logits, (count, 5)), jax.random.split(jax.random.key(5), count), temperature
    )
    expected = scipy.special.softmax(logits.astype(np.float64) / temperature)
    np.testing.assert_allclose(log_probs, np.log(expected)[np.asarray(tokens)], atol=1e-5)
    observed = np.bincount(np.asarray(tokens), minlength=5)
    assert scipy.stats.chisquare(observed, expected * count).pvalue > 0.001


def test_first_and_second_tokens_are_drawn_independently(model: Decoder) -> None:
    # With all logits equal, a key used twice would draw the same token twice.
    flat = jax.tree.map(jnp.zeros_like, model.weights)
    tokens, lengths = pad_right([[3]], 1, 1)
    completed = complete(
        flat, model.config, tokens, lengths, keys_for(1, 2000), max_new_tokens=2, stop_tokens=(), temperature=1.0
    )
    first, second = np.asarray(completed.tokens)[0].T
    assert np.mean(first == second) == pytest.approx(1 / 32, abs=0.015)
    assert scipy.stats.chisquare(np.bincount(first, minlength=32)).pvalue > 0.001
