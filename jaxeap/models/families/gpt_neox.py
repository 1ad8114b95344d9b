"""GPT-NeoX and Pythia: attention and feed-forward layer side by side, LayerNorm, biases, RoPE on part of each head."""

from __future__ import annotations

from collections.abc import Iterable

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family, TensorRule
from jaxeap.models.families.rope_parameters import read_rope

ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu_fast": "gelu_tanh"}
IGNORED = frozenset({"classifier_dropout", "hidden_dropout", "is_decoder"})
BUFFERS = frozenset(
    {
        "gpt_neox.layers.{layer}.attention.bias",
        "gpt_neox.layers.{layer}.attention.masked_bias",
        "gpt_neox.layers.{layer}.attention.rotary_emb.inv_freq",
    }
)


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `GPTNeoXConfig`."""
    width, heads = reader.require("hidden_size"), reader.require("num_attention_heads")
    if width % heads:
        raise reader.unsupported("hidden_size", width, f"not a multiple of num_attention_heads={heads}")
    activation = reader.expect("hidden_act", *ACTIVATIONS)
    bias = bool(reader.get("attention_bias", True))
    layers = reader.require("num_hidden_layers")
    return ModelConfig(
        family=reader.require("model_type"),
        vocab_size=reader.require("vocab_size"),
        embed_dim=width,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=width // heads,
        mlp_dim=reader.require("intermediate_size"),
        activation=ACTIVATIONS[activation],
        norm_epsilon=reader.get("layer_norm_eps", 1e-5),
        rope=read_rope(reader, theta_name="rotary_emb_base", fraction_name="rotary_pct", default_fraction=0.25),
        windows=(None,) * layers,
        qkv_bias=bias,
        tied_embeddings=bool(reader.get("tie_word_embeddings", False)),
        norm="layer",
        output_bias=bias,
        gated_mlp=False,
        mlp_bias=True,
        parallel_blocks=bool(reader.get("use_parallel_residual", True)),
    )


def tensor_rules(config: ModelConfig) -> Iterable[TensorRule]:
    """The key map. Queries, keys and values are fused head by head."""
    layer = "gpt_neox.layers.{layer}."
    yield TensorRule("embedding", "gpt_neox.embed_in.weight", "v d -> v d")
    for parameter, name in (("attention_norm", "input_layernorm"), ("mlp_norm", "post_attention_layernorm")):
        yield TensorRule(f"layers/{parameter}", f"{layer}{name}.weight", "d -> d")
        yield TensorRule(f"layers/{parameter}_bias", f"{layer}{name}.bias", "d -> d")
    fused = layer + "attention.query_key_value."
    for index, kind in enumerate(("query", "key", "value")):
        part = (index, index + 1, 3)
        yield TensorRule(f"layers/{kind}", fused + "weight", "(h p k) d -> d h (p k)", part)
        if config.qkv_bias:
            yield TensorRule(f"layers/{kind}_bias", fused + "bias", "(h p k) -> h (p k)", part)
    yield TensorRule("layers/output", layer + "attention.dense.weight", "d (h k) -> h k d")
    if config.output_bias:
        yield TensorRule("layers/output_bias", layer + "attention.dense.bias", "d -> d")
    yield TensorRule("layers/up", layer + "mlp.dense_h_to_4h.weight", "f d -> d f")
    yield TensorRule("layers/up_bias", layer + "mlp.dense_h_to_4h.bias", "f -> f")
    yield TensorRule("layers/down", layer + "mlp.dense_4h_to_h.weight", "d f -> f d")
    yield TensorRule("layers/down_bias", layer + "mlp.dense_4h_to_h.bias", "d -> d")
    yield TensorRule("final_norm", "gpt_neox.final_layer_norm.weight", "d -> d")
    yield TensorRule("final_norm_bias", "gpt_neox.final_layer_norm.bias", "d -> d")
    if not config.tied_embeddings:
        yield TensorRule("unembedding", "embed_out.weight", "v d -> d v")


GPT_NEOX = Family("gpt_neox", read_config, tensor_rules, ignored=IGNORED, ignored_tensors=BUFFERS)
