"""Taps against central differences of a float64 decoder, and against what they are said to stand for."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models import decoder
from jaxeap.models.config import ModelConfig
from jaxeap.models.load import load_model
from jaxeap.models.norm import rms_norm
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import LayerTaps, Taps
from tests.models.conftest import TinyModel
from tests.models.numpy_decoder import NumpyTaps, next_token_loss

LENGTH = 7
KINDS = ("query", "key", "value", "mlp", "final")


# Left to itself, XLA skips roundings to bfloat16 between operations that it fuses, and what it fuses depends on whether
# there are taps. Here every operation rounds to its own dtype, so that only the taps can make a difference.
@functools.partial(jax.jit, static_argnums=0, compiler_options={"xla_allow_excess_precision": False})
def run(config: ModelConfig, weights: Weights, tokens: jax.Array, taps: Taps | None):
    """Logits and captures."""
    final, captures = decoder.run_layers(
        weights, config, decoder.embed(weights, config, tokens), jnp.ones(tokens.shape, bool), taps
    )
    return decoder.unembed(weights, config, final), captures


def random_taps(tiny: TinyModel, rng: np.random.Generator, size: float = 0.3) -> tuple[Taps, NumpyTaps]:
    """The same random taps for one sequence in both decoders' forms."""
    taps = NumpyTaps.zeros(tiny.attributes, LENGTH)
    for kind in KINDS:
        array = getattr(taps, kind)
        array += size * rng.standard_normal(array.shape).astype(np.float32)
    layers = {kind: jnp.asarray(getattr(taps, kind)[:, None], jnp.float32) for kind in KINDS[:-1]}
    return Taps(LayerTaps(**layers), jnp.asarray(taps.final[None], jnp.float32)), taps


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_zero_taps_change_no_bit(tiny_qwen2: TinyModel, dtype: str):
    model = load_model(tiny_qwen2.folder, dtype=dtype)
    tokens = tiny_qwen2.random_tokens(1, LENGTH)
    taps = Taps.zeros(model.config, 1, LENGTH, dtype)
    chex.assert_type(jax.tree.leaves(taps), jnp.dtype(dtype))
    plain, plain_captures = run(model.config, model.weights, tokens, None)
    tapped, tapped_captures = run(model.config, model.weights, tokens, taps)
    np.testing.assert_array_equal(tapped, plain)
    jax.tree.map(np.testing.assert_array_equal, tapped_captures, plain_captures)


def summed_squares(config: ModelConfig, weights: Weights, tokens: jax.Array, taps: Taps) -> jax.Array:
    embedding = decoder.embed(weights, config, tokens)
    final, _ = decoder.run_layers(weights, config, embedding, jnp.ones(tokens.shape, bool), taps)
    return jnp.sum(jnp.square(decoder.unembed(weights, config, final)))


def test_a_tap_where_heads_read_is_the_sum_of_their_taps_pulled_back(tiny_qwen2: TinyModel):
    config, weights = tiny_qwen2.model.config, tiny_qwen2.model.weights
    tokens = tiny_qwen2.random_tokens(1, LENGTH)
    gradient = jax.jit(jax.grad(summed_squares, argnums=3), static_argnums=0)
    at_heads = gradient(config, weights, tokens, Taps.zeros(config, 1, LENGTH))
    at_readers = gradient(config, weights, tokens, Taps.zeros(config, 1, LENGTH, each_head=False))
    for kind in ("query", "key", "value"):
        projection = np.asarray(weights["layers"][kind], np.float64)
        expected = np.einsum("lbtnk,ldnk->lbtd", np.asarray(getattr(at_heads.layers, kind), np.float64), projection)
        found = getattr(at_readers.layers, kind)
        chex.assert_shape(found, (config.num_layers, 1, LENGTH, config.embed_dim))
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    np.testing.assert_allclose(at_readers.final, at_heads.final, rtol=0, atol=1e-6 * np.abs(at_heads.final).max())


def test_tapped_logits_agree_with_float64(tiny: TinyModel):
    tokens = tiny.random_tokens(LENGTH)
    taps, numpy_taps = random_taps(tiny, np.random.default_rng(0))
    logits, _ = run(tiny.model.config, tiny.model.weights, tokens[None], taps)
    expected = tiny.expected_logits(tokens, numpy_taps)
    np.testing.assert_allclose(logits[0], expected, rtol=0, atol=3e-6 * np.abs(expected).max())
    assert np.abs(expected - tiny.expected_logits(tokens)).max() > 0.3


def test_gradient_of_every_tap_agrees_with_central_differences(tiny_qwen2: TinyModel):
    """At random non-zero taps; differences of the float64 decoder are good to 1e-9, so what is tested is ours."""
    tokens = tiny_qwen2.random_tokens(LENGTH)
    rng = np.random.default_rng(0)
    taps, numpy_taps = random_taps(tiny_qwen2, rng)
    weights, config = tiny_qwen2.model.weights, tiny_qwen2.model.config

    @jax.jit
    def gradient(taps):
        def loss(taps):
            mask = jnp.ones((1, LENGTH), bool)
            final, _ = decoder.run_layers(weights, config, decoder.embed(weights, config, tokens[None]), mask, taps)
            log_probabilities = jax.nn.log_softmax(decoder.unembed(weights, config, final)[0, :-1])
            return -log_probabilities[np.arange(LENGTH - 1), tokens[1:]].mean()

        return jax.grad(loss)(taps)

    gradients = gradient(taps)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradients, taps)

    def difference(kind: str, direction: np.ndarray, step: float = 1e-5) -> float:
        losses = []
        for sign in (1, -1):
            moved = dataclasses.replace(numpy_taps, **{kind: getattr(numpy_taps, kind) + sign * step * direction})
            losses.append(next_token_loss(tiny_qwen2.expected_logits(tokens, moved), tokens))
        return (losses[0] - losses[1]) / (2 * step)

    for kind in KINDS:
        found = np.asarray(gradients.final[0] if kind == "final" else getattr(gradients.layers, kind)[:, 0], np.float64)
        tolerance = 3e-6 * np.abs(found).max()
        assert tolerance > 0
        for flat_index in rng.choice(found.size, 12, replace=False):
            direction = np.zeros(found.size)
            direction[flat_index] = 1
            direction = direction.reshape(found.shape)
            np.testing.assert_allclose(found.flat[flat_index], difference(kind, direction), rtol=0, atol=tolerance)
        direction = rng.standard_normal(found.shape)
        # The errors of single entries add up at random along a dense direction.
        np.testing.assert_allclose(
            (found * direction).sum(), difference(kind, direction), rtol=0, atol=tolerance * found.size**0.5
        )


def test_mlp_tap_pushes_the_branch_and_not_the_bypass(tiny_qwen2: TinyModel):
    tokens = tiny_qwen2.random_tokens(1, LENGTH)
    config, weights, rng = tiny_qwen2.model.config, tiny_qwen2.model.weights, np.random.default_rng(0)
    taps = Taps.zeros(config, 1, LENGTH)
    push = np.zeros(taps.layers.mlp.shape, np.float32)
    push[1] = rng.standard_normal(push[1].shape)
    pushed_taps = dataclasses.replace(taps, layers=dataclasses.replace(taps.layers, mlp=jnp.asarray(push)))
    _, clean = run(config, weights, tokens, taps)
    _, pushed = run(config, weights, tokens, pushed_taps)
    np.testing.assert_array_equal(pushed.layers.mlp_input[0], clean.layers.mlp_input[0])
    np.testing.assert_allclose(pushed.layers.mlp_input[1], clean.layers.mlp_input[1] + push[1], rtol=0, atol=1e-6)
    moved = np.asarray(pushed.layers.mlp[1] - clean.layers.mlp[1])
    assert np.abs(moved).max() > 0.1
    # What the next layer reads has moved by the change of the MLP's output alone.
    np.testing.assert_allclose(
        pushed.layers.attention_input[2], clean.layers.attention_input[2] + moved, rtol=0, atol=3e-6
    )


def test_final_tap_moves_the_unembedding_alone(tiny_qwen2: TinyModel):
    tokens = tiny_qwen2.random_tokens(1, LENGTH)
    taps = Taps.zeros(tiny_qwen2.model.config, 1, LENGTH)
    push = np.random.default_rng(0).standard_normal(taps.final.shape).astype(np.float32)
    config, weights = tiny_qwen2.model.config, tiny_qwen2.model.weights
    clean_logits, clean = run(config, weights, tokens, taps)
    logits, pushed = run(config, weights, tokens, dataclasses.replace(taps, final=jnp.asarray(push)))
    jax.tree.map(np.testing.assert_array_equal, pushed.layers, clean.layers)
    np.testing.assert_allclose(pushed.final, clean.final + push, rtol=0, atol=1e-6)
    assert np.abs(logits - clean_logits).max() > 0.1


@pytest.mark.parametrize("kind", ["query", "key", "value"])
@pytest.mark.parametrize("layer", [0, 2])
def test_projection_tap_equals_a_changed_projection(tiny_qwen2: TinyModel, kind: str, layer: int):
    """W -> W + dW is the tap norm(x) dW, since the projection's input does not depend on that layer's W."""
    tokens = tiny_qwen2.random_tokens(1, LENGTH)
    config, weights = tiny_qwen2.model.config, tiny_qwen2.model.weights
    change = np.zeros(weights["layers"][kind].shape, np.float32)
    change[layer] = 0.2 * np.random.default_rng(0).standard_normal(change[layer].shape)
    changed = {**weights, "layers": {**weights["layers"], kind: weights["layers"][kind] + change}}
    taps = Taps.zeros(config, 1, LENGTH)
    clean_logits, clean = run(config, weights, tokens, taps)
    expected, _ = run(config, changed, tokens, taps)

    normed = rms_norm(
        clean.layers.attention_input[layer], weights["layers"]["attention_norm"][layer], config.norm_epsilon
    )
    tap = np.zeros(getattr(taps.layers, kind).shape, np.float32)
    tap[layer] = jnp.einsum("btd,dhk->bthk", normed, change[layer])
    tapped_layers = dataclasses.replace(taps.layers, **{kind: jnp.asarray(tap)})
    tapped, _ = run(config, weights, tokens, dataclasses.replace(taps, layers=tapped_layers))
    assert np.abs(expected - clean_logits).max() > 0.1
    np.testing.assert_allclose(tapped, expected, rtol=0, atol=2e-5)


def test_captures_add_up_to_every_residual(tiny: TinyModel):
    """The sources written so far, embedding, projected heads and MLPs, are all that a destination reads."""
    tokens = tiny.random_tokens(1, LENGTH)
    weights, config = tiny.model.weights, tiny.model.config
    _, captures = run(config, weights, tokens, Taps.zeros(config, 1, LENGTH))
    layers = jax.tree.map(lambda array: np.asarray(array, np.float64), captures.layers)
    output = np.asarray(weights["layers"]["output"], np.float64)
    residual = np.asarray(captures.embedding, np.float64)
    np.testing.assert_array_equal(captures.embedding, np.asarray(weights["embedding"])[tokens])
    tolerance = 2e-6 * np.abs(captures.final).max()  # a dozen float32 additions
    for layer in range(config.num_layers):
        np.testing.assert_allclose(layers.attention_input[layer], residual, rtol=0, atol=tolerance)
        for head in range(config.num_heads):
            residual = residual + layers.heads[layer, :, :, head] @ output[layer, head]
        np.testing.assert_allclose(layers.mlp_input[layer], residual, rtol=0, atol=tolerance)
        residual = residual + layers.mlp[layer]
    np.testing.assert_allclose(captures.final, residual, rtol=0, atol=tolerance)


def test_captured_mlp_is_the_function_of_its_input(tiny: TinyModel):
    tokens, config = tiny.random_tokens(1, LENGTH), tiny.model.config
    _, captures = run(config, tiny.model.weights, tokens, Taps.zeros(config, 1, LENGTH))
    for layer in range(config.num_layers):
        prefix = f"model.layers.{layer}."
        read = np.asarray(captures.layers.mlp_input[layer], np.float64)
        root = np.sqrt((read**2).mean(axis=-1, keepdims=True) + config.norm_epsilon)
        normed = read / root * tiny.tensors[prefix + "post_attention_layernorm.weight"]
        gate = normed @ tiny.tensors[prefix + "mlp.gate_proj.weight"].T
        inner = gate / (1 + np.exp(-gate)) * (normed @ tiny.tensors[prefix + "mlp.up_proj.weight"].T)
        expected = inner @ tiny.tensors[prefix + "mlp.down_proj.weight"].T
        np.testing.assert_allclose(captures.layers.mlp[layer], expected, rtol=0, atol=1e-5)
