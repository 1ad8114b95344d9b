"""Models that google-tunix itself builds, converted: logits, scores, and what its releases do behind one's back."""

import dataclasses
import importlib
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxeap
from jaxeap.models.tunix.agreement import tunix_logits
from jaxeap.models.tunix.convert import from_tunix, read_tunix_config
from jaxeap.models.tunix.families import ROTATION_BASE
from tests.models.padding import pad

pytest.importorskip("tunix", reason="google-tunix brings a hundred packages: `make test-tunix`")

SHAPE = {"num_layers": 3, "embed_dim": 32, "hidden_dim": 48, "num_heads": 4, "head_dim": 8, "num_kv_heads": 2}
LLAMA_LIKE = {**SHAPE, "vocab_size": 61, "rope_theta": 10_000, "norm_eps": 1e-5}
GEMMA = {**SHAPE, "num_embed": 61, "param_dtype": jnp.float32, "sliding_window_size": 5, "num_layers": 7}
GEMMA |= {"local_base_frequency": 10_000, "global_base_frequency": 1_000_000}
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen2": ("qwen2", "Qwen2", LLAMA_LIKE),
    "qwen2 tied": ("qwen2", "Qwen2", {**LLAMA_LIKE, "use_tied_embedding": True}),
    "qwen3": ("qwen3", "Qwen3", {**LLAMA_LIKE, "rope_theta": 1_000_000}),
    "qwen3 tied, wide heads": ("qwen3", "Qwen3", {**LLAMA_LIKE, "head_dim": 16, "use_tied_embedding": True}),
    "qwen3 routed": ("qwen3", "Qwen3", {**LLAMA_LIKE, "num_experts": 5, "num_experts_per_tok": 2}),
    "llama3": ("llama3", "Llama3", {**LLAMA_LIKE, "rope_theta": 500_000}),
    "llama3 tied": ("llama3", "Llama3", {**LLAMA_LIKE, "rope_theta": 1_000_000, "weight_tying": True}),
    "gemma3 grouped": ("gemma3", "Gemma3", {**GEMMA, "global_scale_factor": 8.0}),
    "gemma3 one key head": ("gemma3", "Gemma3", {**GEMMA, "num_kv_heads": 1}),
    "gemma3 fused": ("gemma3", "Gemma3", {**GEMMA, "num_kv_heads": 4, "head_dim": 6}),
}


def build(case: str, seed: int = 0) -> nnx.Module:
    """The model, its parameters drawn anew: Tunix starts feed-forward layers and biases at zero, norms at one."""
    module, name, attributes = CASES[case]
    library = importlib.import_module(f"tunix.models.{module}.model")
    config = library.ModelConfig(**attributes)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        model = getattr(library, name)(config, rngs=nnx.Rngs(seed))
    random = np.random.default_rng(seed)

    def draw(path: Any, old: jax.Array) -> jax.Array:
        scale = 0.3 if old.ndim == 1 else 0.25
        centre = float("norm" in jax.tree_util.keystr(path) and module != "gemma3")
        return jnp.asarray(centre + scale * random.standard_normal(old.shape), old.dtype)

    nnx.update(model, jax.tree_util.tree_map_with_path(draw, nnx.state(model, nnx.Param)))
    return model


def converted(model: nnx.Module, **more: Any) -> jaxeap.Decoder:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="this Tunix model rotates with base")
        return from_tunix(model, **more)


@pytest.mark.parametrize("case", CASES)
def test_logits_are_the_models_own(case: str):
    model = build(case)
    decoder = converted(model)
    sequences = [np.random.default_rng(n).integers(0, 61, n, np.int32) for n in (13, 4, 9)]
    for side in ("left", "right"):
        tokens, mask = (jnp.asarray(array) for array in pad(sequences, side, 61))
        expected = np.asarray(tunix_logits(model, tokens, mask))
        assert np.abs(expected[mask]).max() > 1.0
        np.testing.assert_allclose(np.asarray(decoder(tokens, mask))[mask], expected[mask], atol=1e-4, rtol=0)


def scaled(state: nnx.State, factors: dict[str, jax.Array], gemma: bool) -> nnx.State:
    """The model with what each source writes multiplied by a factor, in the weights that write it."""

    def scale(path: Any, array: jax.Array) -> jax.Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        name = name.removesuffix(".value")
        layer = name.split(".")[1] if name.startswith("layers.") else ""
        if gemma:  # the norm after a block undoes any factor before it, and stores its scale less 1
            writers = {"post_attention_norm.scale": "a", "post_ffw_norm.scale": "m"}
        else:
            writers = {"attn.o_proj.w": "a", "mlp.down_proj.kernel": "m"}
        for suffix, kind in writers.items():
            if layer and name.endswith(suffix):
                factor = factors[f"{kind}{layer}"]
                return factor * (array + 1) - 1 if gemma else factor * array
        return factors["embed"] * array if "input_embedding" in name and not gemma else array

    return jax.tree_util.tree_map_with_path(scale, state)


@pytest.mark.parametrize("case", ["qwen2", "gemma3 grouped"])
def test_scores_sum_to_the_gradients_of_the_tunix_models_own_loss(case: str):
    """A source's scores over all its readers: minus the loss's derivative by a factor on what the source writes."""
    model, gemma = build(case), case.startswith("gemma")
    sequence = np.random.default_rng(5).integers(0, 61, 8, np.int32)
    batch = jaxeap.Batch.from_sequences([sequence.tolist()], [(4, 8)])
    result = jaxeap.attribute(converted(model), batch, method="eap", level="block", ablation="zero")
    graphdef, state = nnx.split(model)

    @jax.value_and_grad
    def loss(factors: dict[str, jax.Array]) -> jax.Array:
        logits = tunix_logits(
            nnx.merge(graphdef, scaled(state, factors, gemma)), sequence[None], jnp.ones((1, 8), bool)
        )
        logp = jax.nn.log_softmax(logits[0], axis=-1)
        return -jnp.mean(logp[np.arange(3, 7), sequence[4:]])

    sources = [name for name in result.graph.sources if not (gemma and name == "embed")]  # Gemma's is tied
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        value, gradient = loss({name: jnp.ones(()) for name in result.graph.sources})
    np.testing.assert_allclose(result.loss[0], value, rtol=1e-5)
    sums = dict(zip(result.graph.sources, np.asarray(result.scores[0]).sum(axis=-1), strict=True))
    expected = np.array([-gradient[name] for name in sources])
    assert np.abs(expected).min() > 1e-5
    np.testing.assert_allclose([sums[name] for name in sources], expected, atol=2e-5 * np.abs(expected).max(), rtol=0)


@pytest.mark.parametrize("case", ["llama3", "qwen3 tied, wide heads"])
def test_the_base_that_the_model_rotates_with_is_found_and_told(case: str):
    model = build(case)
    with pytest.warns(UserWarning, match="rotates with base 1e\\+06"):
        decoder = from_tunix(model)
    assert decoder.config.rope is not None and decoder.config.rope.theta == ROTATION_BASE
    state = nnx.state(model, nnx.Param)
    with pytest.raises(ValueError, match="rope_theta"):
        from_tunix(state, model.config)
    with pytest.raises(ValueError, match="logits differ"):
        from_tunix(model, rope_theta=123.0)
    known = from_tunix(state, model.config, rope_theta=ROTATION_BASE)
    assert known.config == decoder.config
    jax.tree.map(np.testing.assert_array_equal, known.weights, decoder.weights)


def test_a_model_that_computes_something_else_is_refused():
    model = build("qwen2")
    model.config.norm_eps = 0.3  # only a new layer would read it
    with pytest.raises(ValueError, match="logits differ"):
        from_tunix(model)


def test_flash_attention_is_named_as_what_cannot_be_compared():
    model = build("qwen2")
    model.config.use_flash_attention = True
    with pytest.raises(ValueError, match="flash attention"):
        from_tunix(model)
    assert from_tunix(model, check=False).config.family == "qwen2"


def test_bfloat16_models_pass_the_check_and_keep_their_bits():
    model = build("qwen3")
    library = importlib.import_module("tunix.models.qwen3.model")
    config = dataclasses.replace(model.config, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        small = library.Qwen3(config, rngs=nnx.Rngs(0))
    state = jax.tree.map(lambda array: array.astype(jnp.bfloat16), nnx.state(model, nnx.Param))
    nnx.update(small, state)
    decoder = from_tunix(small, dtype=None)
    assert decoder.dtype == jnp.bfloat16
    np.testing.assert_array_equal(decoder.weights["layers"]["query"][1], small.layers[1].attn.q_proj.w[...])


def test_every_configuration_of_the_library_is_read():
    """At full size, without a parameter: the published shapes, all attributes known."""
    read = 0
    for module in ("qwen2", "qwen3", "llama3", "gemma3"):
        kind = importlib.import_module(f"tunix.models.{module}.model").ModelConfig
        for name in dir(kind):
            if name.startswith(module.rstrip("23")) and callable(getattr(kind, name)):
                _, config = read_tunix_config(getattr(kind, name)())
                assert config.num_layers >= 16
                read += 1
    assert read >= 30
