"""What a `ModelConfig` refuses to be."""

import dataclasses

import pytest

from jaxeap.models.config import ModelConfig
from jaxeap.models.rope import RopeConfig

VALID = ModelConfig(
    family="llama",
    vocab_size=31,
    embed_dim=20,
    num_layers=2,
    num_heads=6,
    num_kv_heads=2,
    head_dim=4,
    mlp_dim=28,
    activation="silu",
    norm_epsilon=1e-6,
    rope=RopeConfig(),
    windows=(None, 5),
    qkv_bias=False,
    tied_embeddings=False,
)


def test_it_can_be_a_static_argument():
    assert hash(VALID) == hash(dataclasses.replace(VALID))
    assert VALID.queries_per_kv_head == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"num_experts": 4}, "experts_per_token must lie between 1 and num_experts.*got 0 of 4"),
        ({"num_experts": 4, "experts_per_token": 2, "mlp_bias": True}, "num_experts goes with gated experts"),
        ({"mlp_dim": -1}, "mlp_dim must be at least 1, got -1"),
        ({"num_kv_heads": 4}, r"num_heads \(6\) must be a multiple of num_kv_heads \(4\)"),
        ({"windows": (None,)}, "windows names 1 layers, the model has 2"),
        ({"windows": (None, 0)}, "windows must be at least 1"),
        ({"layer_ropes": (None,)}, "layer_ropes names 1 layers, the model has 2"),
        ({"output_bias": True, "post_norms": True}, "output_bias and post_norms exclude one another"),
        ({"head_dim": 5}, "head_dim must be even"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(VALID, **changes)
