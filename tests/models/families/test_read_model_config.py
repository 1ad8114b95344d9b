"""Reading config.json: both spellings of the RoPE base, transformers' defaults, and refusals that name the cause."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import FAMILIES, read_model_config
from jaxeap.models.rope import RopeConfig
from jaxeap.models.rope_scaling import Llama3Scaling, LongRopeScaling, YarnScaling
from tests.models.conftest import REFERENCE_MODELS
from tests.models.tiny_checkpoints import attributes_of

LONG = {
    "rope_scaling": {"type": "su", "long_factor": [2.0, 3.0], "short_factor": [1.0]},
    "max_position_embeddings": 32,
}


def read(folder: Path, attributes: dict[str, Any]) -> ModelConfig:
    (folder / "config.json").write_text(json.dumps(attributes))
    return read_model_config(folder)


def without(attributes: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in names}


def test_llama_is_read_whole(tmp_path: Path):
    assert read(tmp_path, attributes_of("llama")) == ModelConfig(
        family="llama",
        vocab_size=31,
        embed_dim=20,
        num_layers=3,
        num_heads=6,
        num_kv_heads=2,
        head_dim=4,
        mlp_dim=28,
        activation="silu",
        norm_epsilon=1e-5,
        rope=RopeConfig(theta=500.0),
        windows=(None, None, None),
        qkv_bias=False,
        tied_embeddings=False,
    )


@pytest.mark.parametrize("name", REFERENCE_MODELS)
def test_files_of_transformers_4_and_5_mean_the_same(name: str, reference_dir: Path, tmp_path: Path):
    newer = json.loads((reference_dir / name / "config.transformers5.json").read_text())
    assert "rope_parameters" in newer or newer["model_type"] == "gpt2"
    assert read(tmp_path, newer) == read_model_config(reference_dir / name)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_unknown_attributes_are_refused_by_name(family: str, tmp_path: Path):
    attributes = attributes_of(family, attention_sinks=4, logit_scale=0.5)
    with pytest.raises(ValueError, match=r"config\.json.*attention_sinks=4, logit_scale=0\.5"):
        read(tmp_path, attributes)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_attributes_that_change_no_logit_are_passed_over(family: str, tmp_path: Path):
    noise = {"torch_dtype": "bfloat16", "eos_token_id": [1, 2], "transformers_version": "4.40.0", "use_cache": False}
    assert read(tmp_path, attributes_of(family, **noise)) == read(tmp_path, attributes_of(family))


@pytest.mark.parametrize(
    "name",
    [
        "model_type",
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
    ],
)
@pytest.mark.parametrize("how", ["missing", "null"])
def test_attribute_without_which_there_is_no_model(name: str, how: str, tmp_path: Path):
    attributes = attributes_of("llama")
    attributes = without(attributes, name) if how == "missing" else attributes | {name: None}
    with pytest.raises(ValueError, match=f"config.json: attribute '{name}' is missing"):
        read(tmp_path, attributes)


def test_what_transformers_leaves_out_has_its_default(tmp_path: Path):
    attributes = without(
        attributes_of("llama"), "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "tie_word_embeddings"
    )
    config = read(tmp_path, attributes | {"hidden_size": 24})
    assert (config.num_kv_heads, config.head_dim) == (6, 4)
    assert (config.norm_epsilon, config.rope.theta, config.tied_embeddings) == (1e-6, 10_000.0, False)


def test_head_dim_must_be_said_where_it_does_not_follow(tmp_path: Path):
    with pytest.raises(ValueError, match=r"hidden_size=20 is not supported.*num_attention_heads=6"):
        read(tmp_path, without(attributes_of("llama"), "head_dim"))


def test_missing_folder_and_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        read_model_config(tmp_path)


def test_not_json(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "llama",')
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        read_model_config(tmp_path)


def test_not_an_object(tmp_path: Path):
    (tmp_path / "config.json").write_text('["llama"]')
    with pytest.raises(ValueError, match=r"config\.json.*object"):
        read_model_config(tmp_path)


def test_unknown_family_lists_the_known_ones(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"model_type='gpt_oss' is not supported.*gpt2, .*llama, mistral, mixtral, olmo2, phi3, qwen2"
    ):
        read(tmp_path, attributes_of("llama") | {"model_type": "gpt_oss"})


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("llama", {"hidden_act": "gelu"}, "hidden_act='gelu' is not supported"),
        ("qwen2", {"use_mrope": True}, "use_mrope=True is not supported"),
        (
            "llama",
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "'llama3' needs high_freq_factor, low_freq_factor",
        ),
        ("llama", {"rope_scaling": {"type": "linear"}}, "rope_type 'linear' needs factor"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": 0.0}}, r"\['factor'\]=0.0.*positive number"),
        (
            "llama",
            {"rope_scaling": {"type": "linear", "factor": 2.0, "beta_fast": 3}},
            "beta_fast.*unknown to rope_type",
        ),
        ("llama", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type='dynamic' is not supported"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}},
            "partial_rotary_factor",
        ),
        (
            "llama",
            {"rope_parameters": {"rope_type": "default", "rope_theta": 10.0}},
            r"rope_theta=500\.0 is not supported \(rope_parameters says 10\.0\)",
        ),
        (
            "llama",
            {
                "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
                "rope_scaling": {"rope_type": "yarn", "factor": 4.0},
            },
            "rope_scaling=.*contradicts rope_parameters",
        ),
        ("llama", {"num_key_value_heads": 4}, r"num_heads \(6\) must be a multiple of num_kv_heads \(4\)"),
        ("llama", {"head_dim": 5}, "head_dim must be even"),
        ("llama", {"num_hidden_layers": 0}, "num_layers must be at least 1"),
        ("mistral", {"sliding_window": 0}, "windows must be at least 1"),
        ("qwen2", {"layer_types": ["full_attention"] * 2}, "layer_types=.*each of 3 layers"),
        ("qwen2", {"layer_types": ["full_attention", "chunked_attention", "full_attention"]}, "layer_types="),
        ("qwen2", {"layer_types": ["sliding_attention"] * 3, "use_sliding_window": False}, "use_sliding_window"),
        ("qwen2", {"layer_types": ["sliding_attention"] * 3, "sliding_window": None}, "sliding_window is off"),
    ],
)
def test_unsupported_and_contradictory_attributes(family: str, changes: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, attributes_of(family, **changes))


def test_agreeing_spellings_of_the_rope_base_are_no_contradiction(tmp_path: Path):
    both = attributes_of("llama", rope_parameters={"rope_type": "default", "rope_theta": 500.0})
    assert read(tmp_path, both).rope.theta == 500.0
    assert read(tmp_path, without(both, "rope_theta")).rope.theta == 500.0
    assert read(tmp_path, attributes_of("llama", rope_scaling=None)).rope.theta == 500.0


@pytest.mark.parametrize(
    ("changes", "removed", "windows"),
    [
        ({}, (), (3, 3, 3)),
        ({"sliding_window": None}, (), (None, None, None)),
        ({}, ("sliding_window",), (4096, 4096, 4096)),  # MistralConfig's default
    ],
)
def test_windows_of_mistral(changes: dict, removed: tuple[str, ...], windows: tuple, tmp_path: Path):
    assert read(tmp_path, without(attributes_of("mistral", **changes), *removed)).windows == windows


@pytest.mark.parametrize(
    ("changes", "removed", "windows"),
    [
        ({}, (), (None, None, 3)),
        ({"max_window_layers": 0}, (), (3, 3, 3)),
        ({"max_window_layers": 3}, (), (None, None, None)),
        ({}, ("max_window_layers",), (None, None, None)),  # Qwen2Config's default is 28
        ({"use_sliding_window": False}, (), (None, None, None)),
        ({}, ("use_sliding_window",), (None, None, None)),
        ({"sliding_window": None}, (), (None, None, None)),
        ({}, ("sliding_window",), (None, None, 4096)),  # Qwen2Config's default
        ({"layer_types": ["sliding_attention", "full_attention", "full_attention"]}, (), (3, None, None)),
        ({"layer_types": ["full_attention"] * 3}, (), (None, None, None)),
        ({"layer_types": ["full_attention"] * 3, "use_sliding_window": False}, (), (None, None, None)),
    ],
)
def test_windows_of_qwen2(changes: dict, removed: tuple[str, ...], windows: tuple, tmp_path: Path):
    assert read(tmp_path, without(attributes_of("qwen2", **changes), *removed)).windows == windows


def test_llama3_scaling_is_read_in_both_spellings(tmp_path: Path):
    scaling = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    expected = RopeConfig(500.0, Llama3Scaling(8.0, 1.0, 4.0, 8192))
    assert read(tmp_path, attributes_of("llama", rope_scaling=scaling | {"rope_type": "llama3"})).rope == expected
    newer = without(attributes_of("llama"), "rope_theta")
    newer["rope_parameters"] = scaling | {"rope_type": "llama3", "rope_theta": 500.0}
    assert read(tmp_path, newer).rope == expected


def test_yarn_takes_the_trained_length_from_the_model_where_it_names_none(tmp_path: Path):
    attributes = attributes_of("qwen2", rope_scaling={"type": "yarn", "factor": 4.0}, max_position_embeddings=32768)
    assert read(tmp_path, attributes).rope == RopeConfig(500.0, YarnScaling(4.0, 32768))


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({}, (3, None, 3)),
        ({"layer_types": ["full_attention", "sliding_attention", "sliding_attention"]}, (None, 3, 3)),
    ],
)
def test_windows_of_gemma2(changes: dict, windows: tuple, tmp_path: Path):
    config = read(tmp_path, attributes_of("gemma2", **changes))
    assert config.windows == windows
    assert (config.attention_softcap, config.logit_softcap) == (50.0, 30.0)
    assert config.query_scale == 256**-0.5


def test_gemma3_turns_sliding_layers_by_a_base_of_their_own(tmp_path: Path):
    older = attributes_of("gemma3_text", sliding_window_pattern=2, rope_local_base_freq=50.0)
    config = read(tmp_path, older)
    assert config.windows == (3, None, 3)
    assert config.layer_ropes == (RopeConfig(50.0), RopeConfig(500.0), RopeConfig(50.0))
    newer = without(older, "rope_theta", "rope_local_base_freq")
    newer["rope_parameters"] = {
        "full_attention": {"rope_type": "default", "rope_theta": 500.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
    }
    assert read(tmp_path, newer) == config
    with pytest.raises(ValueError, match=r"rope_theta=500\.0 is not supported \(rope_parameters says it already"):
        read(tmp_path, newer | {"rope_theta": 500.0})


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("olmo2", {"attention_bias": True}, "attention_bias=True is not supported"),
        ("gemma2", {"hidden_activation": "gelu"}, "hidden_activation='gelu' is not supported"),
        ("gemma2", {"hidden_act": "silu"}, "hidden_act='silu' is not supported"),
        ("gemma2", {"use_bidirectional_attention": True}, "use_bidirectional_attention=True"),
        ("gemma2", {"sliding_window": None}, "sliding_window=None is not supported"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ("gpt2", {"activation_function": "relu"}, "activation_function='relu'"),
        ("gpt2", {"n_head": 3}, "n_embd=20 is not supported.*n_head=3"),
        ("gpt_neox", {"rope_parameters": {"rope_theta": 7.0}}, r"rotary_emb_base=500\.0.*says 7\.0"),
        (
            "phi3",
            {"rope_scaling": {"type": "longrope", "long_factor": [1.0], "factor": 2.0}},
            "'longrope' needs .*short_factor",
        ),
        ("phi3", LONG, "short_factor, long_factor=.1, 2. is not supported .each has 1 numbers"),
        ("phi3", {"rope_scaling": {"type": "yarn", "factor": 2.0}}, "this family has rope_type 'longrope' or none"),
        ("smollm3", {"no_rope_layers": [1, 0]}, r"no_rope_layers=\[1, 0\].*each of 3 layers"),
        ("gpt_neox", {"num_attention_heads": 3}, "hidden_size=20 is not supported"),
        ("mixtral", {"num_experts": 4}, "num_experts=4 is not supported .num_local_experts says 5"),
        ("mixtral", {"num_experts_per_tok": 6}, "experts_per_token must lie between 1 and num_experts.*got 6 of 5"),
        (
            "qwen3_moe",
            {"mlp_only_layers": [1]},
            r"mlp_only_layers=\[1\] is not supported .some layers would not be rou",
        ),
        ("qwen3_moe", {"decoder_sparse_step": 2}, "decoder_sparse_step=2 is not supported"),
        ("qwen3_moe", {"num_experts": 0}, "num_experts=0 is not supported .every layer must have experts"),
        ("gemma3_text", {"rope_parameters": {"rope_theta": 1.0}}, "full_attention and sliding_attention"),
    ],
)
def test_unsupported_attributes_of_later_families(family: str, changes: dict, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, attributes_of(family, **changes))


def test_longrope_as_phi_3_writes_it(tmp_path: Path):
    """The length of before stands beside the dict, and the attention factor follows from the two lengths."""
    attributes = attributes_of("phi3", max_position_embeddings=64, original_max_position_embeddings=16)
    attributes["rope_scaling"] = {"type": "longrope", "long_factor": [2.0], "short_factor": [1.0]}
    expected = LongRopeScaling((1.0,), (2.0,), 16, (1 + math.log(4) / math.log(16)) ** 0.5)
    assert read(tmp_path, attributes).rope == RopeConfig(500.0, expected, 0.5)
    attributes["rope_scaling"] |= {"original_max_position_embeddings": 32}
    with pytest.raises(ValueError, match=r"original_max_position_embeddings=16 is not supported .rope_scaling says 32"):
        read(tmp_path, attributes)
