"""What `from_tunix` accepts and refuses, on states laid out as Tunix does, without Tunix."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxeap.models.model import Decoder
from jaxeap.models.tunix.convert import from_tunix, read_tunix_config


@dataclasses.dataclass
class Qwen2Config:
    """The fields of Tunix's, under its module's name."""

    num_layers: int = 2
    vocab_size: int = 11
    embed_dim: int = 6
    hidden_dim: int = 10
    num_heads: int = 4
    head_dim: int = 2
    num_kv_heads: int = 2
    rope_theta: int = 10_000
    norm_eps: float = 1e-6
    use_tied_embedding: bool = False
    dtype: Any = jnp.float32


Qwen2Config.__module__ = "tunix.models.qwen2.model"


@dataclasses.dataclass
class UnknownConfig(Qwen2Config):
    logit_softcap: float = 30.0


UnknownConfig.__module__ = "tunix.models.qwen2.model"


@dataclasses.dataclass
class Qwen3Config(Qwen2Config):
    num_experts: int | None = None


Qwen3Config.__module__ = "tunix.models.qwen3.model"


def state() -> dict[str, Any]:
    """Keys and nesting of a Qwen2 state, every array its own."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    def layer() -> dict[str, Any]:
        attention = {"q_proj": {"w": draw(6, 4, 2)}, "k_proj": {"w": draw(6, 2, 2)}, "v_proj": {"w": draw(6, 2, 2)}}
        attention |= {"o_proj": {"w": draw(4, 2, 6)}, "q_bias": draw(8), "k_bias": draw(4), "v_bias": draw(4)}
        mlp = {"gate_proj": draw(6, 10), "up_proj": draw(6, 10), "down_proj": draw(10, 6)}
        return {
            "attn": attention,
            "mlp": {name: {"kernel": kernel} for name, kernel in mlp.items()},
            "input_layernorm": {"w": draw(6)},
            "post_attention_layernorm": {"w": draw(6)},
        }

    return {
        "embedder": {"input_embedding": draw(11, 6)},
        "layers": {"0": layer(), "1": layer()},  # keys are text once a checkpoint has been through JSON
        "final_norm": {"w": draw(6)},
        "lm_head": {"w": draw(6, 11)},
    }


def test_every_array_of_a_state_goes_to_its_place():
    given = state()
    decoder = from_tunix(given, Qwen2Config())
    weights = decoder.weights
    np.testing.assert_array_equal(weights["embedding"], given["embedder"]["input_embedding"])
    np.testing.assert_array_equal(weights["unembedding"], given["lm_head"]["w"])
    np.testing.assert_array_equal(weights["final_norm"], given["final_norm"]["w"])
    for index in range(2):
        layer, ours = (
            given["layers"][str(index)],
            jax.tree.map(lambda array, index=index: array[index], weights["layers"]),
        )
        attention, mlp = layer["attn"], layer["mlp"]
        for name, theirs in {"query": "q", "key": "k", "value": "v", "output": "o"}.items():
            np.testing.assert_array_equal(ours[name], attention[f"{theirs}_proj"]["w"])
        for name in ("query", "key", "value"):  # head by head
            np.testing.assert_array_equal(np.asarray(ours[f"{name}_bias"]).ravel(), attention[f"{name[0]}_bias"])
        for name in ("gate", "up", "down"):
            np.testing.assert_array_equal(ours[name], mlp[f"{name}_proj"]["kernel"])
        np.testing.assert_array_equal(ours["attention_norm"], layer["input_layernorm"]["w"])
        np.testing.assert_array_equal(ours["mlp_norm"], layer["post_attention_layernorm"]["w"])
    assert sum(a.size for a in jax.tree.leaves(weights)) == sum(a.size for a in jax.tree.leaves(given))


def test_an_nnx_state_is_read_as_its_dict_is():
    given = state()
    given["layers"] = {int(index): layer for index, layer in given["layers"].items()}
    one = from_tunix(given, Qwen2Config())
    other = from_tunix(nnx.State(jax.tree.map(nnx.Param, given)), Qwen2Config())
    jax.tree.map(np.testing.assert_array_equal, one.weights, other.weights)


def test_the_decoder_outlives_the_state():
    """A trainer that goes on donates its buffers."""
    given = jax.tree.map(jnp.array, state())
    decoder = from_tunix(given, Qwen2Config())
    expected = jax.tree.map(np.array, given["embedder"]["input_embedding"])
    jax.tree.map(lambda array: array.delete(), given)
    np.testing.assert_array_equal(decoder.weights["embedding"], expected)


@pytest.mark.parametrize("dtype", ["bfloat16", None])
def test_dtype(dtype: str | None):
    decoder = from_tunix(state(), Qwen2Config(), dtype=dtype)
    assert decoder.dtype == jnp.dtype(dtype or "float32")


def test_every_misfit_is_named_in_one_message():
    given = state()
    del given["layers"]["1"]["attn"]["q_bias"]
    given["final_norm"]["w"] = jnp.ones(7)
    given["layers"]["0"]["attn"]["q_proj"]["w_lora_a"] = jnp.ones((6, 2))
    with pytest.raises(ValueError) as raised:
        from_tunix(given, Qwen2Config())
    message = str(raised.value)
    assert "3 arrays" in message
    assert "missing: layers.1.attn.q_bias (8,)" in message
    assert "wrong shape: final_norm.w is (7,), needs (6,)" in message
    assert "unmapped: layers.0.attn.q_proj.w_lora_a" in message
    assert "save_lora_merged_model_as_safetensors" in message


def test_an_unknown_attribute_of_the_configuration_is_refused():
    with pytest.raises(ValueError, match=r"logit_softcap=30\.0"):
        from_tunix(state(), UnknownConfig())


@pytest.mark.parametrize("config", [None, {"num_layers": 2}, "qwen2"])
def test_a_configuration_that_is_not_tunixs_is_refused(config: Any):
    with pytest.raises(TypeError, match=r"tunix\.models\.qwen2\.model"):
        from_tunix(state(), config)


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"nnx\.Module"):
        from_tunix(object(), Qwen2Config())
    with pytest.raises(TypeError, match="Decoder already"):
        from_tunix(from_tunix(state(), Qwen2Config()))


def test_an_unknowable_rotation_is_refused():
    """Tunix 0.1.7 turns Qwen3 by a base of its own: a state cannot tell."""
    with pytest.raises(ValueError, match="rope_theta"):
        from_tunix(_qwen3_state(), Qwen3Config())
    decoder = from_tunix(_qwen3_state(), Qwen3Config(), rope_theta=5_000.0)
    assert decoder.config.rope is not None and decoder.config.rope.theta == 5_000.0
    decoder = from_tunix(_qwen3_state(), Qwen3Config(rope_theta=1_000_000))
    assert decoder.config.rope is not None and decoder.config.rope.theta == 1_000_000


def _qwen3_state() -> dict[str, Any]:
    given = state()
    for layer in given["layers"].values():
        for name in ("q_bias", "k_bias", "v_bias"):
            del layer["attn"][name]
        layer["attn"] |= {"q_norm": {"w": jnp.ones(2)}, "k_norm": {"w": jnp.ones(2)}}
    return given


def test_a_decoder_under_tunixs_names_is_the_family_that_it_says():
    _, config = read_tunix_config(Qwen2Config())
    assert config.family == "qwen2" and config.qkv_bias and not config.tied_embeddings
    assert isinstance(from_tunix(state(), Qwen2Config()), Decoder)
