"""Blocks of parameters, against slices of the whole parameter."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxeap.models.families import FAMILIES, TensorRule, read_model_config
from jaxeap.models.key_map import read_parameter
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.safetensors_folder import list_tensors
from jaxeap.models.tensor_blocks import block_indices, block_shape, full_index, put_fused, read_index, to_rows
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint


@pytest.fixture(scope="module", params=["qwen2", "mixtral"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Configuration, stored tensors, arrays and rules, with every layout that the family has."""
    attributes = attributes_of(request.param, tie_word_embeddings=False)
    tensors = tensors_of(attributes)
    folder = write_checkpoint(tmp_path_factory.mktemp("blocks"), attributes, tensors, shards=2)
    config = read_model_config(folder)
    return config, list_tensors(folder), tensors, list(FAMILIES[request.param].tensors(config))


def test_experts_lie_behind_their_layers(tmp_path: Path):
    attributes = attributes_of("mixtral")
    tensors = tensors_of(attributes)
    write_checkpoint(tmp_path, attributes, tensors)
    config = read_model_config(tmp_path)
    rule = next(rule for rule in FAMILIES["mixtral"].tensors(config) if rule.parameter == "layers/up")
    up = read_parameter(rule, config, list_tensors(tmp_path))
    for layer, expert in itertools.product(range(3), range(5)):
        name = f"model.layers.{layer}.block_sparse_moe.experts.{expert}.w3.weight"
        np.testing.assert_array_equal(up[layer, expert], tensors[name].T)


def test_any_index_is_the_slice_of_the_whole(checkpoint):
    """Every second and third of every axis, those inside a fused axis of the file among them."""
    config, stored, _, rules = checkpoint
    for rule in rules:
        whole = read_parameter(rule, config, stored)
        parts = [(slice(None), slice(0, size // 2), slice(size // 2, None)) for size in whole.shape]
        for index in itertools.product(*parts):
            np.testing.assert_array_equal(read_parameter(rule, config, stored, None, index), whole[index], rule.name)


@pytest.mark.parametrize("limit", [1, 150, 1000, 10**9])
def test_blocks_cover_the_parameter_once_and_give_back_the_file(checkpoint, limit: int):
    config, stored, tensors, rules = checkpoint
    for rule in rules:
        shape = parameter_specs(config)[rule.parameter].shape
        block = block_shape(rule, shape, 4, limit)
        counts, rows = np.zeros(shape, int), {}
        for place, index in block_indices(rule, shape, block):
            counts[index] += 1
            part = read_parameter(rule, config, stored, None, index)
            assert all(size <= most for size, most in zip(part.shape, block, strict=True))
            rows.setdefault(place, []).append(to_rows(rule, part))
        assert (counts == 1).all()
        for place, name in enumerate(rule.tensor_names(config)):
            np.testing.assert_array_equal(np.concatenate(rows[place]), tensors[name])


@dataclasses.dataclass(frozen=True)
class FusedRule(TensorRule):
    """One of several parameters in one tensor, along the layout's axis p: (start, stop, of)."""

    part: tuple[int, int, int] | None = None


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((20, 72), "d (p h k) -> d (p h) k"), ((72, 20), "(h p k) d -> d h (p k)"), ((72,), "(p h k) -> (p h) k")],
)
def test_parts_of_fused_tensors_by_numpy(checkpoint, tmp_path: Path, shape: tuple[int, ...], layout: str):
    """Queries, keys and values in one tensor: GPT-2's columns, GPT-NeoX's rows within each head, a bias."""
    config = checkpoint[0]
    tensor = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    save_file({"fused": tensor}, tmp_path / "model.safetensors")
    stored, again = list_tensors(tmp_path), np.zeros_like(tensor)
    for place in range(3):
        rule = FusedRule("x", "fused", layout, (place, place + 1, 3))
        if layout.startswith("d"):
            whole = tensor.reshape(20, 3, 6, 4)[:, place]
        elif layout.startswith("(h"):
            whole = np.moveaxis(tensor.reshape(6, 3, 4, 20)[:, place], -1, 0)
        else:
            whole = tensor.reshape(3, 6, 4)[place]
        parts = [(slice(None), slice(0, size // 2), slice(size // 2, None)) for size in whole.shape]
        for index in itertools.product(*parts):
            found = read_index(rule, config, stored, whole.shape, index, np.dtype(np.float32))
            np.testing.assert_array_equal(found, whole[index])
        covered = np.zeros(whole.shape, int)
        for _, index in block_indices(rule, whole.shape, block_shape(rule, whole.shape, 4, 300)):
            covered[index] += 1
        assert (covered == 1).all()
        put_fused(rule, config, whole, again)
    np.testing.assert_array_equal(again, tensor)


def test_block_shapes_by_hand():
    embedding, query = TensorRule("embedding", "e", "v d -> v d"), TensorRule("q", "{layer}", "(h k) d -> d h k")
    unembedding = TensorRule("unembedding", "u", "v d -> d v")
    assert block_shape(embedding, (100, 8), 4, 320) == (10, 8)
    assert block_shape(unembedding, (8, 100), 4, 320) == (8, 10)
    assert block_shape(query, (3, 8, 6, 4), 2, 128) == (1, 8, 2, 4)
    assert block_shape(query, (3, 8, 6, 4), 2, 1) == (1, 8, 1, 4)  # one head at least
    assert block_shape(query, (3, 8, 6, 4), 2, 10**6) == (1, 8, 6, 4)  # one layer at most


@pytest.mark.parametrize("index", [(slice(None),), (slice(None), slice(0, 4, 2))])
def test_indices_that_are_none(index):
    with pytest.raises(ValueError, match="must have one slice without a step for each axis"):
        full_index(index, (3, 4))
