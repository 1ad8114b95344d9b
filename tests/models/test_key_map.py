"""Accounting for every tensor of a checkpoint, and reading parameters from it."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models import key_map
from jaxeap.models.families import FAMILIES, TensorRule, read_model_config
from jaxeap.models.key_map import account, read_parameter
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.safetensors_folder import StoredTensor, list_tensors
from tests.models.conftest import TinyModel
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint

Tensors = dict[str, np.ndarray]


def written(folder: Path, model_type: str, change: Callable[[Tensors], None] = lambda tensors: None, **changes):
    """Config, stored tensors and tensors of a tiny checkpoint, after `change` was made to the tensors."""
    attributes = attributes_of(model_type, **changes)
    tensors = tensors_of(attributes)
    change(tensors)
    write_checkpoint(folder, attributes, tensors)
    return read_model_config(folder), list_tensors(folder), tensors


def test_every_parameter_is_the_stack_of_its_tensors(tiny: TinyModel):
    config, stored = tiny.model.config, list_tensors(tiny.folder)
    rules = account(config, stored, "checkpoint")
    assert set(rules) == set(parameter_specs(config))
    query = read_parameter(rules["layers/query"], config, stored)
    down = read_parameter(rules["layers/down"], config, stored)
    for layer in range(3):
        tensor = tiny.tensors[f"model.layers.{layer}.self_attn.q_proj.weight"]
        for head in range(6):
            np.testing.assert_array_equal(query[layer, :, head], tensor[4 * head : 4 * head + 4].T)
        np.testing.assert_array_equal(down[layer], tiny.tensors[f"model.layers.{layer}.mlp.down_proj.weight"].T)
    np.testing.assert_array_equal(
        read_parameter(rules["embedding"], config, stored), tiny.tensors["model.embed_tokens.weight"]
    )


def test_every_finding_is_in_one_message(tmp_path: Path):
    def spoil(tensors: Tensors) -> None:
        del tensors["model.norm.weight"]
        del tensors["model.layers.1.mlp.up_proj.weight"]
        tensors["model.layers.2.self_attn.k_proj.weight"] = np.zeros((8, 21), np.float32)
        tensors["model.layers.3.mlp.up_proj.weight"] = np.zeros((28, 20), np.float32)
        tensors["score.weight"] = np.zeros((2, 20), np.float32)
        tensors["model.layers.0.input_layernorm.weight"] = np.zeros(20, np.int8)

    config, stored, _ = written(tmp_path, "llama", spoil)
    with pytest.raises(ValueError) as caught:
        account(config, stored, "folder/of/model")
    first, *findings = str(caught.value).splitlines()
    assert first == "folder/of/model: 6 tensors do not fit its config.json:"
    assert sorted(finding.strip() for finding in findings) == [
        "missing: model.layers.1.mlp.up_proj.weight (for layers/up)",
        "missing: model.norm.weight (for final_norm)",
        "unmapped: model.layers.3.mlp.up_proj.weight (28, 20)",
        "unmapped: score.weight (2, 20)",
        "wrong dtype: model.layers.0.input_layernorm.weight is I8, must be one of F32, BF16, F16; quantised weights "
        "must be dequantised first",
        "wrong shape: model.layers.2.self_attn.k_proj.weight is (8, 21), needs (8, 20)",
    ]


def test_a_tensor_or_parameter_mapped_twice_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config, stored, _ = written(tmp_path, "llama")
    llama = FAMILIES["llama"]

    def sloppy(config):
        for rule in llama.tensors(config):
            yield dataclasses.replace(rule, name="model.norm.weight") if "mlp_norm" in rule.parameter else rule
        yield TensorRule("final_norm", "model.layers.0.input_layernorm.weight", "d -> d")

    families = MappingProxyType({"llama": dataclasses.replace(llama, tensors=sloppy)})
    monkeypatch.setattr(key_map, "FAMILIES", families)
    with pytest.raises(ValueError) as caught:
        account(config, stored, "checkpoint")
    assert "filled twice: final_norm" in str(caught.value)
    assert "mapped twice: model.layers.0.input_layernorm.weight" in str(caught.value)
    assert "unmapped: model.layers.2.post_attention_layernorm.weight" in str(caught.value)


def test_a_key_map_that_knows_other_parameters_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config, stored, _ = written(tmp_path, "llama")
    llama = FAMILIES["llama"]
    shorter = dataclasses.replace(llama, tensors=lambda config: list(llama.tensors(config))[:-1])
    monkeypatch.setattr(key_map, "FAMILIES", MappingProxyType({"llama": shorter}))
    with pytest.raises(ValueError, match=r"key map and the decoder differ in .*unembedding"):
        account(config, stored, "checkpoint")


def test_a_fused_tensor_must_be_cut_without_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    attributes = attributes_of("gpt2")
    (tmp_path / "config.json").write_text(json.dumps(attributes))
    config, gpt2 = read_model_config(tmp_path), FAMILIES["gpt2"]
    stored = {
        name: StoredTensor(name, tmp_path / "model.safetensors", rule.tensor_shape(config), "F32")
        for rule in gpt2.tensors(config)
        for name in rule.tensor_names(config)
    }
    account(config, stored, "checkpoint")

    def overlapping(config):
        for rule in gpt2.tensors(config):
            yield dataclasses.replace(rule, part=(0, 1, 3)) if rule.parameter == "layers/value" else rule

    families = MappingProxyType({"gpt2": dataclasses.replace(gpt2, tensors=overlapping)})
    monkeypatch.setattr(key_map, "FAMILIES", families)
    with pytest.raises(ValueError, match=r"does not cut transformer\.h\.\{layer\}\.attn\.c_attn\.weight into parts"):
        account(config, stored, "checkpoint")


def test_rotary_buffers_of_old_checkpoints_are_passed_over(tmp_path: Path):
    def add(tensors: Tensors) -> None:
        tensors["model.layers.1.self_attn.rotary_emb.inv_freq"] = np.zeros(2, np.float32)

    config, stored, _ = written(tmp_path, "llama", add)
    account(config, stored, "checkpoint")


def test_tied_embeddings_may_be_stored_twice(tmp_path: Path):
    def repeat(tensors: Tensors) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()

    config, stored, _ = written(tmp_path, "qwen2", repeat)
    assert "unembedding" not in account(config, stored, "checkpoint")


def test_tied_embeddings_that_differ_are_refused(tmp_path: Path):
    def contradict(tensors: Tensors) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
        tensors["lm_head.weight"][-1, -1] += 1

    config, stored, _ = written(tmp_path, "qwen2", contradict)
    with pytest.raises(ValueError, match=r"lm_head\.weight differs .* tie_word_embeddings is true; set it to false"):
        account(config, stored, "checkpoint")


def test_untied_embeddings_need_their_matrix(tmp_path: Path):
    config, stored, _ = written(tmp_path, "llama", lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(ValueError, match=r"missing: lm_head\.weight \(for unembedding\)"):
        account(config, stored, "checkpoint")


@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16", "float16"])
def test_reading_casts_as_numpy_does(tmp_path: Path, dtype: str | None):
    attributes = attributes_of("llama")
    tensors = tensors_of(attributes, dtype=jnp.bfloat16)
    write_checkpoint(tmp_path, attributes, tensors)
    config, stored = read_model_config(tmp_path), list_tensors(tmp_path)
    rule = account(config, stored, "checkpoint")["layers/up"]
    found = read_parameter(rule, config, stored, None if dtype is None else jnp.dtype(dtype))
    assert found.dtype == jnp.dtype(dtype or "bfloat16")
    expected = np.stack([tensors[f"model.layers.{layer}.mlp.up_proj.weight"].T for layer in range(3)])
    np.testing.assert_array_equal(found, expected.astype(found.dtype))


def test_layers_of_different_dtypes_need_a_word(tmp_path: Path):
    def mix(tensors: Tensors) -> None:
        name = "model.layers.1.mlp.up_proj.weight"
        tensors[name] = tensors[name].astype(np.float16)

    config, stored, tensors = written(tmp_path, "llama", mix)
    rule = account(config, stored, "checkpoint")["layers/up"]
    with pytest.raises(ValueError, match=r"layers/up is stored in several dtypes \(.*F32, .*F16\)"):
        read_parameter(rule, config, stored)
    found = read_parameter(rule, config, stored, np.float32)
    np.testing.assert_array_equal(found[1], tensors["model.layers.1.mlp.up_proj.weight"].T.astype(np.float32))


def test_reading_opens_only_the_parameters_own_tensors(tmp_path: Path):
    """A shard that is not needed may be gone: this is what lets parameters stream."""
    attributes = attributes_of("llama")
    tensors = tensors_of(attributes)
    write_checkpoint(tmp_path, attributes, tensors, shards=4)
    config, stored = read_model_config(tmp_path), list_tensors(tmp_path)
    rules = account(config, stored, "checkpoint")
    weight_map = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    for file in set(weight_map.values()) - {weight_map["model.norm.weight"]}:
        (tmp_path / file).unlink()
    np.testing.assert_array_equal(read_parameter(rules["final_norm"], config, stored), tensors["model.norm.weight"])
