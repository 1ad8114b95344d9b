"""Tunix's families of models as facts: what their configurations mean, and where each parameter lies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, TensorRule
from jaxeap.models.rope import RopeConfig
from jaxeap.models.rope_scaling import LinearScaling

IGNORED = frozenset(
    {
        "dtype",
        "flash_attention_block_size",
        "param_dtype",
        "remat_config",
        "shd_config",
        "use_flash_attention",
    }
)
"""Attributes of Tunix's configurations that change memory, speed and rounding, and not what is computed."""

ROTATION_BASE = 1_000_000.0
"""The base with which Tunix 0.1.7 rotates where it does not hand `config.rope_theta` on."""


@dataclasses.dataclass(frozen=True)
class TunixFamily:
    """One of Tunix's families.

    Attributes:
      read_config: from the reader of a Tunix configuration to the decoder's shape.
      rules: where each parameter lies; names are paths in the state, joined by dots.
      forgets_theta: whether a release of Tunix leaves `config.rope_theta` aside and rotates with `ROTATION_BASE`.
    """

    read_config: Callable[[ConfigReader], ModelConfig]
    rules: Callable[[ModelConfig], Iterable[TensorRule]]
    forgets_theta: bool = False


def _read_llama_like(
    reader: ConfigReader,
    family: str,
    tied_name: str = "use_tied_embedding",
    qkv_bias: bool = False,
    query_key_norm: bool = False,
) -> ModelConfig:
    layers = reader.require("num_layers")
    experts = reader.get("num_experts", 0)
    return ModelConfig(
        family=family if not experts else f"{family}_moe",
        vocab_size=reader.require("vocab_size"),
        embed_dim=reader.require("embed_dim"),
        num_layers=layers,
        num_heads=reader.require("num_heads"),
        num_kv_heads=reader.require("num_kv_heads"),
        head_dim=reader.require("head_dim"),
        mlp_dim=reader.require("hidden_dim"),
        activation="silu",
        norm_epsilon=float(reader.require("norm_eps")),
        rope=RopeConfig(float(reader.require("rope_theta"))),
        windows=(None,) * layers,
        qkv_bias=qkv_bias,
        tied_embeddings=bool(reader.get(tied_name, False)),
        query_key_norm="head" if query_key_norm else None,
        num_experts=experts,
        experts_per_token=reader.get("num_experts_per_tok", 0) if experts else 0,
    )


def _read_qwen2(reader: ConfigReader) -> ModelConfig:
    return _read_llama_like(reader, "qwen2", qkv_bias=True)


def _read_qwen3(reader: ConfigReader) -> ModelConfig:
    reader.get("num_experts_per_tok")  # without experts it says nothing
    return _read_llama_like(reader, "qwen3", query_key_norm=True)


def _read_llama3(reader: ConfigReader) -> ModelConfig:
    return _read_llama_like(reader, "llama", tied_name="weight_tying")


QUERY_NORMALISATION = {
    "BY_ONE_OVER_SQRT_HEAD_DIM": lambda embed, heads, head: head**-0.5,
    "BY_ONE_OVER_SQRT_EMBED_DIM_DIV_NUM_HEADS": lambda embed, heads, head: (embed // heads) ** -0.5,
}
"""Gemma's names for what multiplies the dot products."""


def _read_gemma3(reader: ConfigReader) -> ModelConfig:
    if "vision_config" in reader:
        raise reader.unsupported("vision_config", reader.get("vision_config"), "build the model with text_only=True")
    reader.get("vision_config")
    layers, embed, heads, head = (reader.require(name) for name in ("num_layers", "embed_dim", "num_heads", "head_dim"))
    normalisation = reader.require("query_pre_attn_norm")
    if normalisation.name not in QUERY_NORMALISATION:
        known = ", ".join(QUERY_NORMALISATION)
        raise reader.unsupported("query_pre_attn_norm", normalisation, f"supported: {known}")

    def rope(kind: str) -> RopeConfig:
        factor = float(reader.get(f"{kind}_scale_factor", 1.0))
        base = float(reader.require(f"{kind}_base_frequency"))
        return RopeConfig(base, LinearScaling(factor) if factor != 1.0 else None)

    everywhere, local = rope("global"), rope("local")
    window = reader.require("sliding_window_size")
    windows = tuple(None if (layer + 1) % 6 == 0 else window for layer in range(layers))
    return ModelConfig(
        family="gemma3_text",
        vocab_size=reader.require("num_embed"),
        embed_dim=embed,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=reader.require("num_kv_heads"),
        head_dim=head,
        mlp_dim=reader.require("hidden_dim"),
        activation="gelu_tanh",
        norm_epsilon=1e-6,
        rope=everywhere,
        windows=windows,
        qkv_bias=False,
        tied_embeddings=True,
        norm="rms_one_plus",
        post_norms=True,
        query_key_norm="head",
        attention_scale=QUERY_NORMALISATION[normalisation.name](embed, heads, head),
        embedding_scale=embed**0.5,
        layer_ropes=tuple(everywhere if window is None else local for window in windows),
    )


def _llama_like_rules(config: ModelConfig) -> Iterable[TensorRule]:
    layer = "layers.{layer}."
    yield TensorRule("embedding", "embedder.input_embedding", "v d -> v d")
    yield TensorRule("layers/attention_norm", layer + "input_layernorm.w", "d -> d")
    yield TensorRule("layers/mlp_norm", layer + "post_attention_layernorm.w", "d -> d")
    yield TensorRule("layers/query", layer + "attn.q_proj.w", "d h k -> d h k")
    yield TensorRule("layers/key", layer + "attn.k_proj.w", "d g k -> d g k")
    yield TensorRule("layers/value", layer + "attn.v_proj.w", "d g k -> d g k")
    yield TensorRule("layers/output", layer + "attn.o_proj.w", "h k d -> h k d")
    if config.qkv_bias:
        yield TensorRule("layers/query_bias", layer + "attn.q_bias", "(h k) -> h k")
        yield TensorRule("layers/key_bias", layer + "attn.k_bias", "(g k) -> g k")
        yield TensorRule("layers/value_bias", layer + "attn.v_bias", "(g k) -> g k")
    if config.query_key_norm:
        yield TensorRule("layers/query_norm", layer + "attn.q_norm.w", "k -> k")
        yield TensorRule("layers/key_norm", layer + "attn.k_norm.w", "k -> k")
    if config.num_experts:
        yield TensorRule("layers/router", layer + "mlp.router.kernel", "d e -> d e")
        yield TensorRule("layers/gate", layer + "mlp.gate_proj", "e d f -> e d f")
        yield TensorRule("layers/up", layer + "mlp.up_proj", "e d f -> e d f")
        yield TensorRule("layers/down", layer + "mlp.down_proj", "e f d -> e f d")
    else:
        yield from _feed_forward_rules()
    yield TensorRule("final_norm", "final_norm.w", "d -> d")
    if not config.tied_embeddings:
        yield TensorRule("unembedding", "lm_head.w", "d v -> d v")


def _feed_forward_rules() -> Iterable[TensorRule]:
    layer = "layers.{layer}."
    yield TensorRule("layers/gate", layer + "mlp.gate_proj.kernel", "d f -> d f")
    yield TensorRule("layers/up", layer + "mlp.up_proj.kernel", "d f -> d f")
    yield TensorRule("layers/down", layer + "mlp.down_proj.kernel", "f d -> f d")


def _gemma3_rules(config: ModelConfig) -> Iterable[TensorRule]:
    layer = "layers.{layer}."
    yield TensorRule("embedding", "embedder.input_embedding", "v d -> v d")
    yield TensorRule("layers/attention_norm", layer + "pre_attention_norm.scale", "d -> d")
    yield TensorRule("layers/attention_post_norm", layer + "post_attention_norm.scale", "d -> d")
    yield TensorRule("layers/mlp_norm", layer + "pre_ffw_norm.scale", "d -> d")
    yield TensorRule("layers/mlp_post_norm", layer + "post_ffw_norm.scale", "d -> d")
    if config.num_heads == config.num_kv_heads:  # then Tunix fuses all three
        for part, name in enumerate(("query", "key", "value")):
            yield TensorRule(f"layers/{name}", layer + "attn.qkv_einsum.w", "p h d k -> d (p h) k", (part, part + 1, 3))
    else:
        yield TensorRule("layers/query", layer + "attn.q_einsum.w", "h d k -> d h k")
        for part, name in enumerate(("key", "value")):
            yield TensorRule(f"layers/{name}", layer + "attn.kv_einsum.w", "p g d k -> d (p g) k", (part, part + 1, 2))
    yield TensorRule("layers/output", layer + "attn.attn_vec_einsum.w", "h k d -> h k d")
    yield TensorRule("layers/query_norm", layer + "attn._query_norm.scale", "k -> k")
    yield TensorRule("layers/key_norm", layer + "attn._key_norm.scale", "k -> k")
    yield from _feed_forward_rules()
    yield TensorRule("final_norm", "final_norm.scale", "d -> d")


TUNIX_FAMILIES: Mapping[str, TunixFamily] = MappingProxyType(
    {
        "gemma3": TunixFamily(_read_gemma3, _gemma3_rules),
        "llama3": TunixFamily(_read_llama3, _llama_like_rules, forgets_theta=True),
        "qwen2": TunixFamily(_read_qwen2, _llama_like_rules),
        "qwen3": TunixFamily(_read_qwen3, _llama_like_rules, forgets_theta=True),
    }
)
"""By the module of the configuration's class: tunix.models.<name>.model."""
