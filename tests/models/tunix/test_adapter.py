"""The decoder under Tunix's interface: the same logits padded, windowed, packed and cached; trained, and back."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig
from jaxeap.models.rope_scaling import LongRopeScaling
from jaxeap.models.tunix.adapter import TunixDecoder
from jaxeap.models.tunix.agreement import tunix_inputs
from jaxeap.models.tunix.convert import from_tunix
from tests.models.padding import pad
from tests.tiny_decoder import tiny_decoder

LOCAL, EVERYWHERE = RopeConfig(100.0), RopeConfig(10_000.0)
PLAIN = tiny_decoder().config
CONFIGS = {
    "plain": PLAIN,
    "windows, ropes, caps, post-norms": dataclasses.replace(
        PLAIN,
        family="gemma2",
        qkv_bias=False,
        windows=(3, None),
        layer_ropes=(LOCAL, EVERYWHERE),
        post_norms=True,
        norm="rms_one_plus",
        attention_softcap=5.0,
        logit_softcap=9.0,
        embedding_scale=4.0,
    ),
    "learned positions, LayerNorm": dataclasses.replace(PLAIN, rope=None, learned_positions=32, norm="layer"),
}


@pytest.fixture(params=CONFIGS)
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return Decoder.random(CONFIGS[request.param], seed=1)


def sequences(config: ModelConfig) -> list[np.ndarray]:
    return [np.random.default_rng(n).integers(0, config.vocab_size, n, np.int32) for n in (11, 5, 8)]


@pytest.mark.parametrize("side", ["left", "right"])
def test_logits_are_the_decoders(decoder: Decoder, side: str):
    tokens, mask = (jnp.asarray(array) for array in pad(sequences(decoder.config), side, decoder.config.vocab_size))
    positions, attention_mask = tunix_inputs(mask)
    logits, cache = TunixDecoder(decoder)(tokens, positions, None, attention_mask)
    assert cache is None
    np.testing.assert_allclose(logits[mask], decoder(tokens, mask)[mask], atol=2e-5, rtol=0)


def test_prompt_and_then_token_by_token_from_the_cache(decoder: Decoder):
    tokens, mask = pad(sequences(decoder.config), "left", decoder.config.vocab_size)
    expected = np.asarray(decoder(tokens, mask))
    model, length, slots, prompt = TunixDecoder(decoder), tokens.shape[1], tokens.shape[1] + 4, 9
    positions, causal = tunix_inputs(jnp.asarray(mask))
    attention_mask = jnp.pad(causal, ((0, 0), (0, 0), (0, slots - length)))
    cache = model.init_cache(len(tokens), slots, jnp.float32)
    got = []
    for part in (slice(0, prompt), *(slice(t, t + 1) for t in range(prompt, length))):
        logits, cache = model(tokens[:, part], positions[:, part], cache, attention_mask[:, part])
        got.append(logits)
    assert cache is not None and set(cache) == {f"layer_{n}" for n in range(decoder.config.num_layers)}
    np.testing.assert_array_equal(cache["layer_1"]["end_index"], [length] * len(tokens))
    np.testing.assert_allclose(np.concatenate(got, axis=1)[mask], expected[mask], atol=2e-5, rtol=0)


def test_segments_packed_into_one_row_do_not_see_one_another(decoder: Decoder):
    first, second, _ = sequences(decoder.config)
    packed = jnp.asarray(np.concatenate([first, second]))[None]
    positions = jnp.concatenate([jnp.arange(len(first)), jnp.arange(len(second))])[None]
    segments = jnp.repeat(jnp.array([1, 2]), jnp.array([len(first), len(second)]))[None]
    logits, _ = TunixDecoder(decoder)(packed, positions, segment_ids=segments)
    apart = jnp.concatenate([decoder(first[None]), decoder(second[None])], axis=1)
    np.testing.assert_allclose(logits, apart, atol=2e-5, rtol=0)


def test_training_moves_the_copy_alone_and_it_comes_back_as_a_decoder():
    decoder = tiny_decoder()
    before = jax.tree.map(np.array, decoder.weights)
    model = TunixDecoder(decoder)
    tokens = jnp.asarray(sequences(decoder.config)[0])[None]
    positions, attention_mask = tunix_inputs(jnp.ones(tokens.shape, bool))

    def loss(model: TunixDecoder) -> jax.Array:
        logits, _ = model(tokens, positions, None, attention_mask)
        return optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], tokens[:, 1:]).mean()

    optimizer = nnx.Optimizer(model, optax.sgd(0.5), wrt=nnx.Param)
    start, gradient = nnx.value_and_grad(loss)(model)
    optimizer.update(model, gradient)
    trained = from_tunix(model)
    assert isinstance(trained, Decoder) and trained.config == decoder.config
    with pytest.raises(ValueError, match="rope_theta"):
        from_tunix(model, rope_theta=10_000.0)
    assert loss(model) < start - 0.1
    jax.tree.map(np.testing.assert_array_equal, decoder.weights, before)
    expected, _ = model(tokens, positions, None, attention_mask)
    np.testing.assert_allclose(trained(tokens), expected, atol=2e-5, rtol=0)
    assert np.abs(np.asarray(trained(tokens)) - np.asarray(decoder(tokens))).max() > 0.1


def test_longrope_is_refused():
    scaling = LongRopeScaling(
        short_factors=(1.0, 1.0), long_factors=(2.0, 2.0), original_length=8, attention_factor=1.0
    )
    config = dataclasses.replace(PLAIN, rope=RopeConfig(scaling=scaling))
    with pytest.raises(ValueError, match="longrope"):
        TunixDecoder(Decoder.random(config))
