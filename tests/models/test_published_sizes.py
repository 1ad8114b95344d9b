"""Published models at full size, as shapes alone: parameter counts as published, and a pass without memory."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.methods.eap import EapOptions, eap
from jaxeap.attribution.settings import Settings
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import logits
from jaxeap.models.families import FAMILIES, read_model_config
from jaxeap.models.parameters import abstract_weights, parameter_specs


def shape(width: int, inner: int, layers: int, heads: int, kv_heads: int, vocab: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        **more,
    }


LLAMA3_ROPE = {
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
TIED = {"tie_word_embeddings": True}
PUBLISHED: dict[str, tuple[str, dict[str, Any], int]] = {
    "Llama-2-7b": ("llama", shape(4096, 11008, 32, 32, 32, 32000), 6_738_415_616),
    "Llama-3.1-8B": ("llama", shape(4096, 14336, 32, 32, 8, 128256, **LLAMA3_ROPE), 8_030_261_248),
    "Llama-3.1-70B": ("llama", shape(8192, 28672, 80, 64, 8, 128256, **LLAMA3_ROPE), 70_553_706_496),
    "Mistral-7B-v0.1": ("mistral", shape(4096, 14336, 32, 32, 8, 32000, sliding_window=4096), 7_241_732_096),
    "Qwen2.5-0.5B": ("qwen2", shape(896, 4864, 24, 14, 2, 151936, **TIED), 494_032_768),
    "Qwen2.5-7B": ("qwen2", shape(3584, 18944, 28, 28, 4, 152064), 7_615_616_512),
    "Qwen2.5-72B": ("qwen2", shape(8192, 29568, 80, 64, 8, 152064), 72_706_203_648),
    "Qwen3-8B": ("qwen3", shape(4096, 12288, 36, 32, 8, 151936, head_dim=128), 8_190_735_360),
    "gemma-2-2b": ("gemma2", shape(2304, 9216, 26, 8, 4, 256000, head_dim=256), 2_614_341_888),
    "gemma-2-9b": ("gemma2", shape(3584, 14336, 42, 16, 8, 256000, head_dim=256), 9_241_705_984),
    "gemma-3-1b": (
        "gemma3_text",
        shape(1152, 6912, 26, 4, 1, 262144, head_dim=256, sliding_window=512, sliding_window_pattern=6),
        999_885_952,
    ),
    "Mixtral-8x7B-v0.1": (
        "mixtral",
        shape(4096, 14336, 32, 32, 8, 32000, num_local_experts=8, num_experts_per_tok=2),
        46_702_792_704,
    ),
    "Qwen3-30B-A3B": (
        "qwen3_moe",
        shape(
            2048,
            6144,
            48,
            32,
            4,
            151936,
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
            norm_topk_prob=True,
        ),
        30_532_122_624,
    ),
    "OLMo-2-1124-7B": ("olmo2", shape(4096, 11008, 32, 32, 32, 100352), 7_298_617_344),
    "gpt2": (
        "gpt2",
        {"n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257},
        124_439_808,
    ),
    "gpt2-xl": (
        "gpt2",
        {"n_embd": 1600, "n_head": 25, "n_layer": 48, "n_positions": 1024, "vocab_size": 50257},
        1_557_611_200,
    ),
    "pythia-1.4b": ("gpt_neox", shape(2048, 8192, 24, 16, 16, 50304), 1_414_647_808),
    "pythia-6.9b": ("gpt_neox", shape(4096, 16384, 32, 32, 32, 50432), 6_857_302_016),
    "Phi-3-mini-4k": ("phi3", shape(3072, 8192, 32, 32, 32, 32064, sliding_window=2047), 3_821_079_552),
    "phi-4": ("phi3", shape(5120, 17920, 40, 40, 10, 100352, rope_theta=250000), 14_659_507_200),
    "SmolLM3-3B": ("smollm3", shape(2048, 11008, 36, 16, 4, 128256, **TIED), 3_075_098_624),
}


@pytest.fixture(params=PUBLISHED)
def published(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ModelConfig, int]:
    family, attributes, count = PUBLISHED[request.param]
    if family == "gpt_neox":
        del (attributes := dict(attributes))["num_key_value_heads"]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family, **attributes}))
    return read_model_config(tmp_path), count


def test_every_family_has_a_published_size():
    assert {family for family, _, _ in PUBLISHED.values()} == set(FAMILIES)


def test_parameter_count(published: tuple[ModelConfig, int]):
    config, count = published
    assert sum(math.prod(spec.shape) for spec in parameter_specs(config).values()) == count


def test_forward_and_scores_have_their_shapes(published: tuple[ModelConfig, int]):
    config, _ = published
    weights = abstract_weights(config, jnp.bfloat16)
    tokens, mask = jax.ShapeDtypeStruct((1, 16), jnp.int32), jax.ShapeDtypeStruct((1, 16), bool)
    out = jax.eval_shape(lambda weights, *inputs: logits(weights, config, *inputs), weights, tokens, mask)
    assert (out.shape, out.dtype) == ((1, 16, config.vocab_size), jnp.float32)
    batch = Batch.from_sequences([np.arange(16).tolist()], [(8, 16)])
    graph = EdgeGraph.for_config(config, "head")
    run = partial(eap, config=config, reference=None, settings=Settings("head", "zero", 4), options=EapOptions())
    scores, loss, gradient_norm = jax.eval_shape(lambda weights: run(weights, batch=batch), weights)
    assert (scores.shape, scores.dtype) == ((1, *graph.mask.shape), jnp.float32)
    for each in (loss, gradient_norm):
        assert (each.shape, each.dtype) == ((1,), jnp.float32)
