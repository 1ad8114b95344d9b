"""The forward pass against the float64 decoder of `numpy_decoder`, which reads the same checkpoint on its own."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models import attention, decoder
from jaxeap.models.load import load_model
from tests.models.conftest import TinyModel
from tests.models.numpy_decoder import decode
from tests.models.padding import pad

LENGTH = 9


def test_logits_agree_with_float64(tiny: TinyModel):
    tokens = tiny.random_tokens(2, LENGTH)
    logits = tiny.model(tokens)
    chex.assert_shape(logits, (2, LENGTH, tiny.model.config.vocab_size))
    for row in range(2):
        expected = tiny.expected_logits(tokens[row])
        np.testing.assert_allclose(logits[row], expected, rtol=0, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(tiny: TinyModel, side: str):
    sequences = [tiny.random_tokens(length, seed=length) for length in (4, 7)]
    tokens, mask = pad(sequences, side, tiny.model.config.vocab_size)
    logits = np.asarray(tiny.model(tokens, mask))
    assert np.isfinite(logits).all()
    for row, sequence in enumerate(sequences):
        expected = tiny.expected_logits(sequence)
        np.testing.assert_allclose(logits[row, mask[row]], expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_a_row_of_padding_alone_stays_finite(tiny: TinyModel):
    tokens = tiny.random_tokens(2, LENGTH)
    mask = np.ones(tokens.shape, bool)
    mask[1] = False
    assert np.isfinite(tiny.model(tokens, mask)).all()


def test_bfloat16_stays_within_its_rounding(tiny_qwen2: TinyModel):
    """The truth is the float64 decoder on the rounded weights, so what is measured is the rounding of activations."""
    model = load_model(tiny_qwen2.folder, dtype="bfloat16")
    rounded = {name: np.asarray(jnp.asarray(tensor, jnp.bfloat16)) for name, tensor in tiny_qwen2.tensors.items()}
    tokens = tiny_qwen2.random_tokens(LENGTH)
    expected = decode(tiny_qwen2.attributes, rounded, tiny_qwen2.windows, tokens)
    logits = model(tokens[None])[0]
    chex.assert_type(logits, jnp.float32)
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    # Rounding to 8 bits is off by at most 2^-9 relatively. A few dozen of them lie between a token and its logits, and
    # they add up at random; a result much nearer would mean that the pass was not made in bfloat16 at all.
    assert 2**-11 < error < 8 * 2**-9


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_captures_keep_the_models_dtype(tiny_qwen2: TinyModel, dtype: str):
    model = load_model(tiny_qwen2.folder, dtype=dtype)
    tokens, mask = jnp.zeros((2, LENGTH), jnp.int32), jnp.ones((2, LENGTH), bool)
    final, captures = jax.eval_shape(
        lambda weights: decoder.run_layers(weights, model.config, decoder.embed(weights, model.config, tokens), mask),
        model.weights,
    )
    config, layered = model.config, (model.config.num_layers, 2, LENGTH)
    chex.assert_shape(captures.layers.heads, (*layered, config.num_heads, config.head_dim))
    chex.assert_shape(
        [captures.layers.mlp, captures.layers.attention_input, captures.layers.mlp_input], (*layered, config.embed_dim)
    )
    chex.assert_shape([captures.embedding, captures.final, final], (2, LENGTH, config.embed_dim))
    chex.assert_type(jax.tree.leaves(captures), jnp.dtype(dtype))


def test_blocks_of_queries_give_the_same_logits(tiny_qwen2: TinyModel, monkeypatch: pytest.MonkeyPatch):
    """11 positions in blocks of 4; gradients of blocked attention are in test_attention."""
    monkeypatch.setattr(attention, "QUERY_BLOCK", 4)
    sequences = [tiny_qwen2.random_tokens(length, seed=length) for length in (LENGTH, 5)]
    tokens, mask = pad(sequences, "left", tiny_qwen2.model.config.vocab_size)
    # A function of its own: one compiled before would not see the new block size.
    run = jax.jit(lambda weights: decoder.logits(weights, tiny_qwen2.model.config, tokens, mask))
    logits = np.asarray(run(tiny_qwen2.model.weights))
    for row, sequence in enumerate(sequences):
        expected = tiny_qwen2.expected_logits(sequence)
        np.testing.assert_allclose(logits[row, mask[row]], expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_blocks_of_queries_are_really_used(tiny_qwen2: TinyModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention, "QUERY_BLOCK", 4)
    config = tiny_qwen2.model.config
    tokens, mask = jnp.zeros((1, LENGTH), jnp.int32), jnp.ones((1, LENGTH), bool)
    program = str(
        jax.make_jaxpr(lambda weights: decoder.logits(weights, config, tokens, mask))(tiny_qwen2.model.weights)
    )
    groups, queries = config.num_kv_heads, config.queries_per_kv_head
    assert f"f32[1,{groups},{queries},4,{LENGTH}]" in program
    assert f"f32[1,{groups},{queries},{LENGTH},{LENGTH}]" not in program


def test_positions_count_real_tokens_only():
    mask = jnp.array([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    np.testing.assert_array_equal(decoder.positions_of(mask), [[0, 0, 0, 1, 2], [0, 1, 2, 2, 2]])
