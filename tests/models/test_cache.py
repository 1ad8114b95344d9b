"""The cached pass gives what the whole pass gives, however the tokens are dealt out to its calls."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.cache import KVCache, extend
from jaxeap.models.decoder import unembed
from jaxeap.models.load import load_model
from tests.models.conftest import TinyModel

LENGTH = 9
run = jax.jit(extend, static_argnums=1)


def dealt_out(model, tokens: np.ndarray, chunks: list[list[int]], slots: int = LENGTH) -> tuple[list, KVCache]:
    """Logits of each row's tokens when call i feeds chunks[i][row] of them, padded with arbitrary tokens."""
    batch = len(tokens)
    cache = KVCache.empty(model.config, batch, slots, model.dtype)
    done, logits = np.zeros(batch, int), [[] for _ in range(batch)]
    for counts in chunks:
        # One width for all calls, so that there is one program to compile; single steps are in test_reference_logits.
        step = np.random.default_rng(0).integers(0, model.config.vocab_size, (batch, LENGTH + 1), np.int32)
        for row, count in enumerate(counts):
            step[row, :count] = tokens[row, done[row] : done[row] + count]
        final, cache = run(model.weights, model.config, step, np.asarray(counts, np.int32), cache)
        chex.assert_shape(final, (*step.shape, model.config.embed_dim))
        for row, count in enumerate(counts):
            logits[row].append(unembed(model.weights, model.config, final[row, :count]))
        done += counts
    return [np.concatenate(parts) for parts in logits], cache


def test_rows_may_stand_anywhere_and_rest(tiny: TinyModel):
    """The window (3) is shorter than what is cached; row 1 rests twice, row 0 ends early."""
    tokens = tiny.random_tokens(2, LENGTH)
    found, cache = dealt_out(tiny.model, tokens, [[4, 2], [2, 0], [1, 1], [1, 0], [0, 5]])
    np.testing.assert_array_equal(cache.lengths, [8, 8])
    for row in range(2):
        expected = tiny.expected_logits(tokens[row, :8])
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_cache_holds_no_trace_of_padding(tiny_qwen2: TinyModel):
    tokens = tiny_qwen2.random_tokens(2, LENGTH)
    _, ragged = dealt_out(tiny_qwen2.model, tokens, [[3, 6], [6, 3]])
    _, whole = dealt_out(tiny_qwen2.model, tokens, [[LENGTH, LENGTH]])
    chex.assert_trees_all_equal_shapes_and_dtypes(ragged, whole)
    np.testing.assert_allclose(ragged.key, whole.key, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ragged.value, whole.value, rtol=0, atol=1e-5)


def test_bfloat16_cache(tiny_qwen2: TinyModel):
    """As near to the whole pass as that must be to float64 (see test_decoder)."""
    model = load_model(tiny_qwen2.folder, dtype="bfloat16")
    tokens = tiny_qwen2.random_tokens(2, LENGTH)
    found, cache = dealt_out(model, tokens, [[4, 6], [5, 3]])
    chex.assert_type([cache.key, cache.value], jnp.bfloat16)
    whole = np.asarray(model(tokens))
    np.testing.assert_allclose(np.stack(found), whole, rtol=0, atol=8 * 2**-9 * np.abs(whole).max())


def test_tokens_beyond_the_slots_leave_the_rest_alone(tiny_qwen2: TinyModel):
    tokens = tiny_qwen2.random_tokens(2, LENGTH)
    _, full = dealt_out(tiny_qwen2.model, tokens, [[6, 6]], slots=6)
    _, overfull = dealt_out(tiny_qwen2.model, tokens, [[6, 6], [1, 1]], slots=6)
    np.testing.assert_array_equal(overfull.key, full.key)
    np.testing.assert_array_equal(overfull.value, full.value)


@pytest.mark.parametrize("wrong", [np.int32([1]), np.int32([[1], [1]])])
def test_counts_must_be_one_for_each_row(tiny_qwen2: TinyModel, wrong: np.ndarray):
    model = tiny_qwen2.model
    cache = KVCache.empty(model.config, 2, LENGTH, jnp.float32)
    with pytest.raises(AssertionError, match="shape"):
        extend(model.weights, model.config, tiny_qwen2.random_tokens(2, 3), jnp.asarray(wrong), cache)
