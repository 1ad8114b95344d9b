"""GPT-2: LayerNorm, learned positions, biases everywhere, queries, keys and values fused in one tensor."""

from __future__ import annotations

from collections.abc import Iterable

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family, TensorRule

IGNORED = frozenset(
    {
        "attn_pdrop",
        "embd_pdrop",
        "n_ctx",
        "reorder_and_upcast_attn",
        "resid_pdrop",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
        "task_specific_params",
    }
)
CAUSAL_MASKS = frozenset({"transformer.h.{layer}.attn.bias", "transformer.h.{layer}.attn.masked_bias"})


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads a `GPT2Config`."""
    width, heads = reader.require("n_embd"), reader.require("n_head")
    if width % heads:
        raise reader.unsupported("n_embd", width, f"not a multiple of n_head={heads}")
    reader.expect("activation_function", "gelu_new", "gelu_pytorch_tanh")
    reader.expect("scale_attn_weights", True)
    reader.expect("scale_attn_by_inverse_layer_idx", False)
    reader.expect("add_cross_attention", False)
    layers = reader.require("n_layer")
    return ModelConfig(
        family=reader.require("model_type"),
        vocab_size=reader.require("vocab_size"),
        embed_dim=width,
        num_layers=layers,
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=width // heads,
        mlp_dim=reader.get("n_inner", 4 * width),
        activation="gelu_tanh",
        norm_epsilon=reader.get("layer_norm_epsilon", 1e-5),
        rope=None,
        windows=(None,) * layers,
        qkv_bias=True,
        tied_embeddings=bool(reader.get("tie_word_embeddings", True)),
        norm="layer",
        output_bias=True,
        gated_mlp=False,
        mlp_bias=True,
        learned_positions=reader.require("n_positions"),
    )


def tensor_rules(config: ModelConfig) -> Iterable[TensorRule]:
    """The key map. Weights lie as [inputs, outputs] in the checkpoint, against the custom."""
    layer = "transformer.h.{layer}."
    yield TensorRule("embedding", "transformer.wte.weight", "v d -> v d")
    yield TensorRule("positions", "transformer.wpe.weight", "s d -> s d")
    for parameter, name in (("attention_norm", "ln_1"), ("mlp_norm", "ln_2")):
        yield TensorRule(f"layers/{parameter}", f"{layer}{name}.weight", "d -> d")
        yield TensorRule(f"layers/{parameter}_bias", f"{layer}{name}.bias", "d -> d")
    for index, kind in enumerate(("query", "key", "value")):
        part = (index, index + 1, 3)
        yield TensorRule(f"layers/{kind}", layer + "attn.c_attn.weight", "d (p h k) -> d (p h) k", part)
        yield TensorRule(f"layers/{kind}_bias", layer + "attn.c_attn.bias", "(p h k) -> (p h) k", part)
    yield TensorRule("layers/output", layer + "attn.c_proj.weight", "(h k) d -> h k d")
    yield TensorRule("layers/output_bias", layer + "attn.c_proj.bias", "d -> d")
    yield TensorRule("layers/up", layer + "mlp.c_fc.weight", "d f -> d f")
    yield TensorRule("layers/up_bias", layer + "mlp.c_fc.bias", "f -> f")
    yield TensorRule("layers/down", layer + "mlp.c_proj.weight", "f d -> f d")
    yield TensorRule("layers/down_bias", layer + "mlp.c_proj.bias", "d -> d")
    yield TensorRule("final_norm", "transformer.ln_f.weight", "d -> d")
    yield TensorRule("final_norm_bias", "transformer.ln_f.bias", "d -> d")
    if not config.tied_embeddings:
        yield TensorRule("unembedding", "lm_head.weight", "v d -> d v")


# The files of openai-community/gpt2 to gpt2-xl are of the bare model.
GPT2 = Family(
    "gpt2", read_config, tensor_rules, ignored=IGNORED, ignored_tensors=CAUSAL_MASKS, bare_prefix="transformer."
)
