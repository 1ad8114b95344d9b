"""A tiny decoder with grouped heads, q/k/v bias and tied embeddings."""

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig


def tiny_decoder() -> Decoder:
    config = ModelConfig(
        family="qwen2",
        vocab_size=32,
        embed_dim=16,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=4,
        mlp_dim=24,
        activation="silu",
        norm_epsilon=1e-6,
        rope=RopeConfig(),
        windows=(None, None),
        qkv_bias=True,
        tied_embeddings=True,
    )
    return Decoder.random(config, seed=3)
