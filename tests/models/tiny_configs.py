"""A tiny configuration of every family, with what it is special for switched on."""

import dataclasses

from jaxeap.models.config import ModelConfig
from jaxeap.models.rope import RopeConfig
from jaxeap.models.rope_scaling import Llama3Scaling, LongRopeScaling, YarnScaling

LLAMA = ModelConfig(
    family="llama",
    vocab_size=32,
    embed_dim=16,
    num_layers=3,
    num_heads=4,
    num_kv_heads=2,
    head_dim=6,
    mlp_dim=20,
    activation="silu",
    norm_epsilon=1e-5,
    rope=RopeConfig(theta=5000.0),
    windows=(None,) * 3,
    qkv_bias=False,
    tied_embeddings=False,
)
SCALING = Llama3Scaling(8.0, 1.0, 4.0, 16)
GEMMA2 = dataclasses.replace(
    LLAMA, family="gemma2", activation="gelu_tanh", norm="rms_one_plus", post_norms=True, tied_embeddings=True,
    attention_scale=12**-0.5, attention_softcap=2.0, logit_softcap=3.0, embedding_scale=4.0, windows=(4, None, 4),
)  # fmt: skip
GPT2 = dataclasses.replace(
    LLAMA, family="gpt2", num_kv_heads=4, head_dim=4, activation="gelu_tanh", norm="layer", rope=None, qkv_bias=True,
    output_bias=True, gated_mlp=False, mlp_bias=True, learned_positions=12, tied_embeddings=True,
)  # fmt: skip
CONFIGS = {
    "llama": LLAMA,
    "llama_with_biases_and_scaling": dataclasses.replace(
        LLAMA, qkv_bias=True, output_bias=True, mlp_bias=True, rope=RopeConfig(5000.0, SCALING)
    ),
    "mistral": dataclasses.replace(LLAMA, family="mistral", windows=(4,) * 3, tied_embeddings=True),
    "mistral_full": dataclasses.replace(LLAMA, family="mistral"),
    "mixtral": dataclasses.replace(LLAMA, family="mixtral", num_experts=5, experts_per_token=2),
    "qwen2": dataclasses.replace(LLAMA, family="qwen2", qkv_bias=True, tied_embeddings=True),
    "qwen2_sliding": dataclasses.replace(LLAMA, family="qwen2", qkv_bias=True, windows=(None, 3, 3)),
    "qwen2_yarn": dataclasses.replace(
        LLAMA, family="qwen2", qkv_bias=True, rope=RopeConfig(5000.0, YarnScaling(4.0, 100, truncate=True))
    ),
    "qwen3": dataclasses.replace(
        LLAMA, family="qwen3", query_key_norm="head", qkv_bias=True, output_bias=True, windows=(None, 3, None)
    ),
    "qwen3_moe": dataclasses.replace(
        LLAMA, family="qwen3_moe", query_key_norm="head", num_experts=5, experts_per_token=2, windows=(4,) * 3,
        renormalised_routing=False,
    ),
    "olmo2": dataclasses.replace(
        LLAMA, family="olmo2", norm="rms_wide", pre_norms=False, post_norms=True, query_key_norm="projection"
    ),
    "phi3": dataclasses.replace(LLAMA, family="phi3", rope=RopeConfig(5000.0, fraction=2 / 3), windows=(4,) * 3),
    "phi3_long": dataclasses.replace(
        LLAMA, family="phi3", head_dim=4, rope=RopeConfig(5000.0, LongRopeScaling((1.0, 1.5), (1.0, 3.0), 8, 1.25)),
    ),
    "smollm3": dataclasses.replace(
        LLAMA, family="smollm3", tied_embeddings=True, layer_ropes=(RopeConfig(5000.0), None, RopeConfig(5000.0))
    ),
    "gemma2": GEMMA2,
    "gemma3_text": dataclasses.replace(
        GEMMA2, family="gemma3_text", attention_softcap=None, logit_softcap=None, query_key_norm="head",
        layer_ropes=(RopeConfig(50.0), RopeConfig(5000.0), RopeConfig(50.0)),
    ),
    "gpt2": GPT2,
    "gpt_neox": dataclasses.replace(
        GPT2, family="gpt_neox", learned_positions=0, rope=RopeConfig(5000.0, fraction=0.5), parallel_blocks=True,
        activation="gelu", tied_embeddings=False,
    ),
}  # fmt: skip
