"""A tensor rule's arithmetic on shapes and layouts, by hand."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import FAMILIES, TensorRule, read_model_config
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.rope import RopeConfig
from tests.models.tiny_checkpoints import attributes_of

CONFIG = ModelConfig(
    family="qwen2",
    vocab_size=31,
    embed_dim=20,
    num_layers=3,
    num_heads=6,
    num_kv_heads=2,
    head_dim=4,
    mlp_dim=28,
    activation="silu",
    norm_epsilon=1e-6,
    rope=RopeConfig(),
    windows=(None,) * 3,
    qkv_bias=True,
    tied_embeddings=False,
)


def test_names_are_one_for_each_layer_or_one():
    assert TensorRule("layers/up", "m.{layer}.up", "f d -> d f").tensor_names(CONFIG) == ["m.0.up", "m.1.up", "m.2.up"]
    assert TensorRule("final_norm", "norm", "d -> d").tensor_names(CONFIG) == ["norm"]
    routed = dataclasses.replace(CONFIG, num_layers=2, windows=(None,) * 2, num_experts=3, experts_per_token=1)
    names = TensorRule("layers/up", "m.{layer}.e.{expert}", "f d -> d f").tensor_names(routed)
    assert names == ["m.0.e.0", "m.0.e.1", "m.0.e.2", "m.1.e.0", "m.1.e.1", "m.1.e.2"]


@pytest.mark.parametrize(
    ("layout", "shape"),
    [("(h k) d -> d h k", (24, 20)), ("d (h k) -> h k d", (20, 24)), ("(g k) -> g k", (8,)), ("v d -> v d", (31, 20))],
)
def test_shape_in_the_checkpoint_is_read_off_the_layout(layout: str, shape: tuple[int, ...]):
    assert TensorRule("any", "any", layout).tensor_shape(CONFIG) == shape


def test_heads_are_the_slow_axis_of_a_projection():
    tensor = np.arange(24 * 20, dtype=np.float32).reshape(24, 20)
    parameter = TensorRule("layers/query", "q", "(h k) d -> d h k").to_parameter(tensor, CONFIG)
    assert parameter.shape == (20, 6, 4)
    for head in range(6):
        for channel in range(4):
            np.testing.assert_array_equal(parameter[:, head, channel], tensor[4 * head + channel])


def test_parameters_are_cut_out_of_a_fused_tensor():
    # 6 query heads and 2 key/value heads of width 4: three parts of the queries, then keys, then values.
    tensor = np.arange(40 * 20, dtype=np.float32).reshape(40, 20)
    layout = "(p g k) d -> d (p g) k"
    rules = [
        TensorRule(name, "qkv", layout, part)
        for name, part in zip("qkv", [(0, 3, 5), (3, 4, 5), (4, 5, 5)], strict=True)
    ]
    query, key, value = (rule.to_parameter(tensor, CONFIG) for rule in rules)
    assert [rule.tensor_shape(CONFIG) for rule in rules] == [(40, 20)] * 3
    np.testing.assert_array_equal(query, tensor[:24].reshape(6, 4, 20).transpose(2, 0, 1))
    np.testing.assert_array_equal(key, tensor[24:32].reshape(2, 4, 20).transpose(2, 0, 1))
    np.testing.assert_array_equal(value, tensor[32:].reshape(2, 4, 20).transpose(2, 0, 1))
    with pytest.raises(ValueError, match="qkv holds several parameters"):
        rules[0].to_tensor(query, CONFIG)


def test_parameters_fused_head_by_head():
    tensor = np.arange(6 * 3 * 4, dtype=np.float32)
    found = TensorRule("key_bias", "qkv", "(h p k) -> h (p k)", (1, 2, 3)).to_parameter(tensor, CONFIG)
    np.testing.assert_array_equal(found, tensor.reshape(6, 3, 4)[:, 1])


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_rules_cover_the_parameters_with_their_shapes(family: str, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(attributes_of(family)))
    config = read_model_config(tmp_path)
    specs = parameter_specs(config)
    for rule in FAMILIES[family].tensors(config):
        spec = specs.pop(rule.parameter)
        parameter = rule.to_parameter(np.zeros(rule.tensor_shape(config), np.float32), config)
        numbered = [axis for axis in spec.axes[:2] if axis in ("layers", "experts")]  # the router's experts come last
        assert rule.stacked_axes == len(numbered)
        assert parameter.shape == spec.shape[len(numbered) :]
        assert len(rule.tensor_names(config)) == np.prod(spec.shape[: len(numbered)])
    assert not specs
