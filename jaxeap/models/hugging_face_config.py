"""The config.json of a decoder: what `read_model_config` reads, the other way round, for every family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.gpt_neox import ACTIVATIONS
from jaxeap.models.families.rope_parameters import SCALINGS, SPELLINGS
from jaxeap.models.rope import RopeConfig
from jaxeap.models.rope_scaling import LongRopeScaling


def hugging_face_config(config: ModelConfig) -> dict[str, Any]:
    """The config.json of a decoder, in the spelling that transformers 4 and 5 both read.

    Not every configuration can be said in its family's words; `read_model_config` of what is returned tells.

    Raises:
      ValueError: its family cannot be written.
    """
    if config.family not in _WRITERS:
        known = ", ".join(sorted(_WRITERS))
        raise ValueError(f"cannot write a config.json of family {config.family!r}; known families: {known}")
    architecture, write = _WRITERS[config.family]
    named = {"model_type": config.family, "architectures": [architecture], "dtype": "float32"}
    shared = {"vocab_size": config.vocab_size, "tie_word_embeddings": config.tied_embeddings}
    return named | shared | write(config)


def _llama_like(config: ModelConfig) -> dict[str, Any]:
    return {
        "hidden_size": config.embed_dim,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": config.activation,
        "rms_norm_eps": config.norm_epsilon,
        **_rope(config.rope),
    }


def _rope(rope: RopeConfig | None) -> dict[str, Any]:
    assert rope is not None, "these families rotate"
    if rope.scaling is None:
        return {"rope_theta": rope.theta}
    kind = next(kind for kind, scaling in SCALINGS.items() if isinstance(rope.scaling, scaling))
    values = {name: getattr(rope.scaling, ours) for spelling in SPELLINGS[kind] for name, ours in spelling.items()}
    given = {name: value for name, value in values.items() if value is not None}
    return {"rope_theta": rope.theta, "rope_scaling": {"rope_type": kind, **given}}


def _window(config: ModelConfig) -> int | None:
    return next((window for window in config.windows if window is not None), None)


def _layer_types(config: ModelConfig) -> list[str]:
    return ["full_attention" if seen is None else "sliding_attention" for seen in config.windows]


def _switched_windows(config: ModelConfig) -> dict[str, Any]:
    window = _window(config)
    return {
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "layer_types": _layer_types(config),
    }


def _llama(config: ModelConfig) -> dict[str, Any]:
    return _llama_like(config) | {"attention_bias": config.output_bias, "mlp_bias": config.mlp_bias}


def _mistral(config: ModelConfig) -> dict[str, Any]:
    return _llama_like(config) | {"sliding_window": config.windows[0]}


def _routed(config: ModelConfig) -> dict[str, Any]:
    return {"num_experts_per_tok": config.experts_per_token}


def _mixtral(config: ModelConfig) -> dict[str, Any]:
    return _mistral(config) | _routed(config) | {"num_local_experts": config.num_experts}


def _qwen2(config: ModelConfig) -> dict[str, Any]:
    return _llama_like(config) | _switched_windows(config)


def _qwen3(config: ModelConfig) -> dict[str, Any]:
    return _qwen2(config) | {"attention_bias": config.output_bias}


def _qwen3_moe(config: ModelConfig) -> dict[str, Any]:
    window = config.windows[0]
    return (
        _llama_like(config)
        | _routed(config)
        | {
            "attention_bias": config.output_bias,
            "use_sliding_window": window is not None,
            "sliding_window": window,
            "num_experts": config.num_experts,
            "moe_intermediate_size": config.mlp_dim,
            "norm_topk_prob": config.renormalised_routing,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        }
    )


def _olmo2(config: ModelConfig) -> dict[str, Any]:
    return _llama_like(config) | {"attention_bias": False}


def _phi3(config: ModelConfig) -> dict[str, Any]:
    assert config.rope is not None
    # transformers' own default of the padding token is that of the published vocabulary.
    more = {"partial_rotary_factor": config.rope.fraction, "sliding_window": config.windows[0], "pad_token_id": None}
    if isinstance(config.rope.scaling, LongRopeScaling):  # transformers looks for it here alone
        more["original_max_position_embeddings"] = config.rope.scaling.original_length
    return _llama_like(config) | more


def _smollm3(config: ModelConfig) -> dict[str, Any]:
    rotates = [int(rope is not None) for rope in config.layer_ropes] or [1] * config.num_layers
    biases = {"attention_bias": config.output_bias, "mlp_bias": config.mlp_bias}
    return _llama_like(config) | _switched_windows(config) | biases | {"no_rope_layers": rotates, "pad_token_id": None}


def _gemma2(config: ModelConfig) -> dict[str, Any]:
    scalar = config.query_scale**-2
    whole = round(scalar)  # which the scale was the root of, but for rounding
    return _llama_like(config) | {
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": whole if whole**-0.5 == config.query_scale else scalar,
        "attn_logit_softcapping": config.attention_softcap,
        "final_logit_softcapping": config.logit_softcap,
        "sliding_window": _window(config) or 4096,
        "layer_types": _layer_types(config),
    }


def _gemma3_text(config: ModelConfig) -> dict[str, Any]:
    sliding = [rope for rope, window in zip(config.layer_ropes, config.windows, strict=True) if window is not None]
    local = {"rope_local_base_freq": sliding[0].theta} if sliding and sliding[0] is not None else {}
    return {name: value for name, value in _gemma2(config).items() if name != "hidden_act"} | local


def _gpt2(config: ModelConfig) -> dict[str, Any]:
    return {
        "n_embd": config.embed_dim,
        "n_head": config.num_heads,
        "n_layer": config.num_layers,
        "n_inner": config.mlp_dim,
        "n_positions": config.learned_positions,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": config.norm_epsilon,
    }


def _gpt_neox(config: ModelConfig) -> dict[str, Any]:
    rope = _rope(config.rope)
    assert config.rope is not None
    return {
        "hidden_size": config.embed_dim,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "hidden_act": next((name for name, ours in ACTIVATIONS.items() if ours == config.activation), None),
        "layer_norm_eps": config.norm_epsilon,
        "attention_bias": config.qkv_bias,
        "use_parallel_residual": config.parallel_blocks,
        "rotary_emb_base": rope.pop("rope_theta"),
        "rotary_pct": config.rope.fraction,
        **rope,
    }


_WRITERS: Mapping[str, tuple[str, Callable[[ModelConfig], dict[str, Any]]]] = MappingProxyType(
    {
        "gemma2": ("Gemma2ForCausalLM", _gemma2),
        "gemma3_text": ("Gemma3ForCausalLM", _gemma3_text),
        "gpt2": ("GPT2LMHeadModel", _gpt2),
        "gpt_neox": ("GPTNeoXForCausalLM", _gpt_neox),
        "llama": ("LlamaForCausalLM", _llama),
        "mistral": ("MistralForCausalLM", _mistral),
        "mixtral": ("MixtralForCausalLM", _mixtral),
        "olmo2": ("Olmo2ForCausalLM", _olmo2),
        "phi3": ("Phi3ForCausalLM", _phi3),
        "qwen2": ("Qwen2ForCausalLM", _qwen2),
        "qwen3": ("Qwen3ForCausalLM", _qwen3),
        "qwen3_moe": ("Qwen3MoeForCausalLM", _qwen3_moe),
        "smollm3": ("SmolLM3ForCausalLM", _smollm3),
    }
)
