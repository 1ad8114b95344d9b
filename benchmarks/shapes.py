"""The shapes of published models, for what is planned, compiled or timed without their weights."""

from __future__ import annotations

from jaxeap.models.config import ModelConfig
from jaxeap.models.rope import RopeConfig

QWEN_7B = ModelConfig(
    family="qwen2",
    vocab_size=152064,
    embed_dim=3584,
    num_layers=28,
    num_heads=28,
    num_kv_heads=4,
    head_dim=128,
    mlp_dim=18944,
    activation="silu",
    norm_epsilon=1e-6,
    rope=RopeConfig(),
    windows=(None,) * 28,
    qkv_bias=True,
    tied_embeddings=False,
)
"""Qwen2-7B and Qwen2.5-7B."""

LLAMA_70B = ModelConfig(
    family="llama",
    vocab_size=128256,
    embed_dim=8192,
    num_layers=80,
    num_heads=64,
    num_kv_heads=8,
    head_dim=128,
    mlp_dim=28672,
    activation="silu",
    norm_epsilon=1e-6,
    rope=RopeConfig(),
    windows=(None,) * 80,
    qkv_bias=False,
    tied_embeddings=False,
)
"""Llama-3.1-70B."""

SMALL = ModelConfig(
    family="qwen2",
    vocab_size=2048,
    embed_dim=256,
    num_layers=8,
    num_heads=4,
    num_kv_heads=2,
    head_dim=64,
    mlp_dim=1024,
    activation="silu",
    norm_epsilon=1e-6,
    rope=RopeConfig(),
    windows=(None,) * 8,
    qkv_bias=True,
    tied_embeddings=True,
)
"""Of no published model: what tests compile within seconds."""

SHAPES = {"qwen_7b": QWEN_7B, "llama_70b": LLAMA_70B, "small": SMALL}
