"""Models that transformers builds here and now: head widths, groups, windows and dtypes beyond the reference data."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxeap.models.cache import KVCache, extend
from jaxeap.models.decoder import unembed
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from tests.models.padding import pad

torch = pytest.importorskip("torch", reason="torch is installed on Python 3.11 alone (requirements/dev.txt)")
transformers = pytest.importorskip("transformers")

SHAPE = {"vocab_size": 61, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "rms_norm_eps": 1e-5}
EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}
"""Loops of plain operations, which run in float64 too."""
ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 700.0}}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 700.0,
    "short_factor": [1.0, 1.1, 1.3, 1.7],
    "long_factor": [1.0, 2.0, 5.0, 9.0],
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama, one head for each query": ("Llama", {"num_attention_heads": 4, "num_key_value_heads": 4}),
    "llama, one key head, wide heads": ("Llama", {"num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 10}),
    "mistral, head_dim not D/H": (
        "Mistral",
        {"num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 8, "sliding_window": 4},
    ),
    "mistral, no window": (
        "Mistral",
        {"num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": None, "tie_word_embeddings": True},
    ),
    "qwen2, upper layers slide": (
        "Qwen2",
        {
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
        },
    ),
    "qwen2, layer_types decide": (
        "Qwen2",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "use_sliding_window": True,
            "sliding_window": 2,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "tie_word_embeddings": True,
        },
    ),
    "llama, llama3 scaling": (
        "Llama",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 700.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
    ),
    "llama, linear scaling": (
        "Llama",
        {"num_attention_heads": 4, "rope_parameters": {"rope_type": "linear", "rope_theta": 700.0, "factor": 3.0}},
    ),
    "qwen2, yarn scaling": (
        "Qwen2",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 700.0,
                "factor": 4.0,
                "original_max_position_embeddings": 100,
            },
        },
    ),
    "qwen3, head_dim not D/H, upper layers slide": (
        "Qwen3",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 10,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
        },
    ),
    "gemma2": (
        "Gemma2",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 10,
            "sliding_window": 4,
            "query_pre_attn_scalar": 12,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3, bases of its own for each kind of layer": (
        "Gemma3Text",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": 10,
            "sliding_window": 4,
            "query_pre_attn_scalar": 12,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 700.0, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
            },
        },
    ),
    "mixtral, a window": (
        "Mixtral",
        {"num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 4, "num_local_experts": 5},
    ),
    "qwen3_moe, shares as they are": (
        "Qwen3Moe",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 10,
            "num_experts": 6,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 14,
        },
    ),
    "qwen3_moe, shares that sum to one, all layers slide": (
        "Qwen3Moe",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "num_experts": 6,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 14,
            "norm_topk_prob": True,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
        },
    ),
    "olmo2": ("Olmo2", {"num_attention_heads": 6, "num_key_value_heads": 2}),
    "llama, all biases": ("Llama", {"num_attention_heads": 4, "attention_bias": True, "mlp_bias": True}),
    "phi3, grouped heads, a window": (
        "Phi3",
        {"num_attention_heads": 6, "num_key_value_heads": 2, "sliding_window": 4, "tie_word_embeddings": True},
    ),
    "phi3, half of the channels rotate": (
        "Phi3",
        {
            "num_attention_heads": 3,
            "rope_parameters": {"rope_type": "default", "rope_theta": 700.0, "partial_rotary_factor": 0.5},
        },
    ),
    "phi3, longrope within the trained length": (
        "Phi3",
        {
            "num_attention_heads": 3,
            "original_max_position_embeddings": 40,
            "max_position_embeddings": 160,
            "rope_parameters": LONGROPE,
        },
    ),
    "qwen2, yarn scaling with mscale": (
        "Qwen2",
        {
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 700.0,
                "factor": 4.0,
                "original_max_position_embeddings": 100,
                "mscale": 1.0,
                "mscale_all_dim": 0.5,
            },
        },
    ),
    "smollm3, layers without RoPE": (
        "SmolLM3",
        {"num_attention_heads": 4, "num_key_value_heads": 2, "no_rope_layers": [1, 0, 1]},
    ),
    "gpt2": ("GPT2", {"n_head": 4, "n_positions": 16}),
    "gpt_neox, parallel blocks": ("GPTNeoX", {"num_attention_heads": 3}),
    "gpt_neox, blocks in sequence, all channels rotate": (
        "GPTNeoX",
        {
            "num_attention_heads": 3,
            "use_parallel_residual": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": 700.0, "partial_rotary_factor": 1.0},
        },
    ),
}
WINDOWS = {
    "mistral, head_dim not D/H": (4, 4, 4),
    "qwen2, upper layers slide": (None, 3, 3),
    "qwen2, layer_types decide": (2, None, 2),
    "qwen3, head_dim not D/H, upper layers slide": (None, 3, 3),
    "gemma2": (4, None, 4),
    "phi3, grouped heads, a window": (4, 4, 4),
    "mixtral, a window": (4, 4, 4),
    "qwen3_moe, shares that sum to one, all layers slide": (3, 3, 3),
    "gemma3, bases of its own for each kind of layer": (4, None, 4),
}


@dataclasses.dataclass(frozen=True)
class Pair:
    name: str
    folder: Path
    theirs: Any
    ours: Decoder

    def expected(self, tokens: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        inputs = {"input_ids": torch.tensor(tokens, dtype=torch.long)}
        if mask is not None:
            inputs |= {"attention_mask": torch.tensor(mask), "position_ids": torch.tensor(mask.cumsum(1) - 1).clamp(0)}
        with torch.no_grad():
            return self.theirs(**inputs).logits.float().numpy()


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    family, attributes = CASES[request.param]
    shared = {**SHAPE, **ROPE}
    if family in ("Phi3", "SmolLM3"):
        shared["pad_token_id"] = 0  # by default beyond this vocabulary
    if family == "GPT2":
        shared = {"vocab_size": SHAPE["vocab_size"], "n_embd": 24, "n_layer": 3}
    if family == "GPTNeoX":
        del shared["rms_norm_eps"], shared["rope_parameters"]
    config = getattr(transformers, f"{family}Config")(**shared | attributes)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, **EAGER).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():  # transformers starts with zero biases and small weights
            parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.ndim > 1 else 0.25))
            if ("norm" in name or "ln_" in name) and name.endswith("weight"):
                parameter += 1
    folder = tmp_path_factory.mktemp(family)
    model.save_pretrained(folder)
    return Pair(request.param, folder, model, load_model(folder))


def tokens_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, SHAPE["vocab_size"], shape, np.int32)


def test_windows_are_read(pair: Pair):
    assert pair.ours.config.windows == WINDOWS.get(pair.name, (None,) * 3)


def test_logits(pair: Pair):
    tokens = tokens_of(2, 11)
    expected = pair.expected(tokens)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(pair.ours(tokens), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_logits(pair: Pair, side: str):
    tokens, mask = pad([tokens_of(length) for length in (9, 5)], side, SHAPE["vocab_size"])
    expected = pair.expected(tokens, mask)
    np.testing.assert_allclose(np.asarray(pair.ours(tokens, mask))[mask], expected[mask], rtol=0, atol=1e-4)


def test_cached_decoding(pair: Pair):
    """A prompt at once, padded by different amounts, then token by token."""
    tokens, config, weights = tokens_of(2, 9), pair.ours.config, pair.ours.weights
    expected = pair.expected(tokens)
    run = jax.jit(extend, static_argnums=1)
    counts = np.array([5, 3], np.int32)
    final, cache = run(weights, config, tokens[:, :5], counts, KVCache.empty(config, 2, 9, jnp.float32))
    logits = np.asarray(unembed(weights, config, final))
    for row, count in enumerate(counts):
        np.testing.assert_allclose(logits[row, :count], expected[row, :count], rtol=0, atol=1e-4)
    for step in range(4):
        final, cache = run(weights, config, tokens[[0, 1], counts + step][:, None], np.ones(2, np.int32), cache)
        logits = np.asarray(unembed(weights, config, final))[:, 0]
        np.testing.assert_allclose(logits, expected[[0, 1], counts + step], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "pair",
    [
        "llama, one key head, wide heads",
        "mistral, head_dim not D/H",
        "qwen2, layer_types decide",
        "qwen3, head_dim not D/H, upper layers slide",
        "gemma2",
        "mixtral, a window",
        "qwen3_moe, shares as they are",
        "olmo2",
        "gpt2",
        "gpt_neox, parallel blocks",
    ],
    indirect=True,
)
def test_bfloat16_is_no_rounder_than_theirs(pair: Pair):
    """Both run in bfloat16 on equal weights; the truth is transformers in float64 on those weights."""
    tokens = tokens_of(2, 11)
    theirs = pair.theirs
    try:
        theirs.to(torch.bfloat16)
        rounded = pair.expected(tokens)
        theirs.to(torch.float64)
        truth = pair.expected(tokens)
    finally:
        theirs.to(torch.float32)
    ours = np.asarray(load_model(pair.folder, dtype="bfloat16")(tokens))

    def distance(logits: np.ndarray) -> float:
        return float(np.sqrt(np.mean((logits - truth) ** 2)))

    assert 0 < distance(ours) < 1.5 * distance(rounded)


@pytest.mark.parametrize("pair", ["mistral, no window"], indirect=True)
def test_tied_checkpoint_with_an_unembedding_of_its_own(pair: Pair, tmp_path: Path):
    """transformers does not tie what differs, so loading it tied would be wrong; the remedy that we name is right."""
    tensors = load_file(pair.folder / "model.safetensors")
    tensors["lm_head.weight"] = -tensors["model.embed_tokens.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    attributes = json.loads((pair.folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(attributes))
    with torch.no_grad():
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
        expected = theirs(torch.tensor(tokens_of(2, 11), dtype=torch.long)).logits.numpy()
    np.testing.assert_allclose(expected, -pair.expected(tokens_of(2, 11)), rtol=0, atol=1e-5)

    with pytest.raises(ValueError, match=r"set it to false in config\.json"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(attributes | {"tie_word_embeddings": False}))
    np.testing.assert_allclose(load_model(tmp_path)(tokens_of(2, 11)), expected, rtol=0, atol=1e-4)


def test_longrope_beyond_the_trained_length(tmp_path: Path):
    """transformers lets the longest sequence of a batch decide for all; here every row decides for itself."""
    config = transformers.Phi3Config(
        **SHAPE,
        num_attention_heads=3,
        pad_token_id=0,
        original_max_position_embeddings=8,
        max_position_embeddings=160,
        rope_parameters=dict(LONGROPE),
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, **EAGER).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + ("norm" in name))
    model.save_pretrained(tmp_path)
    pair = Pair("longrope", tmp_path, model, load_model(tmp_path))
    rows = [tokens_of(length) for length in (11, 5)]
    tokens, mask = pad(rows, "right", SHAPE["vocab_size"])
    found = np.asarray(pair.ours(tokens, mask))
    for row, sequence in enumerate(rows):
        expected = pair.expected(sequence[None])[0]
        np.testing.assert_allclose(found[row, : len(sequence)], expected, rtol=0, atol=1e-4)
    assert np.abs(found[1, :5] - pair.expected(tokens, mask)[1, :5]).max() > 1e-2
    with pytest.raises(ValueError, match="beyond 8 this model turns keys otherwise"):
        KVCache.empty(pair.ours.config, 1, 9, jnp.float32)
