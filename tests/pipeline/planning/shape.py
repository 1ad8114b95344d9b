"""Shapes at which plans are compared with what XLA makes of the programs."""

import dataclasses

from jaxeap.models.config import ModelConfig
from jaxeap.models.rope import RopeConfig

SHAPE = ModelConfig(
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
QWEN_7B = dataclasses.replace(
    SHAPE,
    vocab_size=152064,
    embed_dim=3584,
    num_layers=28,
    windows=(None,) * 28,
    num_heads=28,
    num_kv_heads=4,
    head_dim=128,
    mlp_dim=18944,
    tied_embeddings=False,
)
LLAMA_70B = dataclasses.replace(
    SHAPE,
    family="llama",
    vocab_size=128256,
    embed_dim=8192,
    num_layers=80,
    num_heads=64,
    num_kv_heads=8,
    head_dim=128,
    mlp_dim=28672,
    windows=(None,) * 80,
    qkv_bias=False,
    tied_embeddings=False,
)
