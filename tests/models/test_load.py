"""`load_model` from both forms: equal bits, the dtype and sharding that were asked for, and refusals."""

import json
import shutil
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec, SingleDeviceSharding

from checkpoint_convert import convert
from jaxeap.models import load
from jaxeap.models.load import load_model
from jaxeap.models.manifest import MANIFEST
from jaxeap.models.parameters import parameter_specs
from jaxeap.parallel.mesh import make_mesh
from jaxeap.parallel.sharding import sharding_of
from tests.models.conftest import TinyModel
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint


@pytest.fixture(scope="module")
def stored_in_bfloat16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sharded Hugging Face checkpoint, biases and all, some of whose axes 2 and 4 devices divide and some not."""
    attributes = attributes_of("qwen2", vocab_size=32, tie_word_embeddings=False, num_attention_heads=8)
    return write_checkpoint(
        tmp_path_factory.mktemp("hf"), attributes, tensors_of(attributes, dtype=jnp.bfloat16), shards=3
    )


@pytest.fixture(scope="module", params=["safetensors", "converted"])
def either_form(request: pytest.FixtureRequest, stored_in_bfloat16: Path, tmp_path_factory) -> Path:
    if request.param == "safetensors":
        return stored_in_bfloat16
    target = tmp_path_factory.mktemp("converted") / "model"
    convert(stored_in_bfloat16, target)
    return target


@pytest.mark.parametrize("dtype", [None, "float32", "bfloat16", "float16"])
def test_parameters_have_the_dtype_that_was_asked_for(either_form: Path, stored_in_bfloat16: Path, dtype: str | None):
    model = load_model(either_form, dtype=dtype)
    chex.assert_type(jax.tree.leaves(model.weights), jnp.dtype(dtype or "bfloat16"))
    tensors = tensors_of(attributes_of("qwen2", vocab_size=32, tie_word_embeddings=False, num_attention_heads=8))
    name = "model.layers.1.mlp.up_proj.weight"
    expected = tensors[name].astype(jnp.bfloat16).astype(model.dtype).T
    np.testing.assert_array_equal(model.weights["layers"]["up"][1], expected)
    assert model.weights["embedding"].sharding == SingleDeviceSharding(jax.devices()[0])


def test_both_forms_have_equal_bits(stored_in_bfloat16: Path, tmp_path: Path):
    convert(stored_in_bfloat16, tmp_path / "converted")
    one, other = (load_model(path, dtype=None) for path in (stored_in_bfloat16, tmp_path / "converted"))
    assert one.config == other.config
    chex.assert_trees_all_equal_shapes_and_dtypes(one.weights, other.weights)
    jax.tree.map(np.testing.assert_array_equal, one.weights, other.weights)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_parameters_lie_over_the_mesh_as_the_rules_say(either_form: Path, dtype: str | None):
    mesh = make_mesh(fsdp=2, tensor=4)
    model = load_model(either_form, dtype=dtype, mesh=mesh)
    for name, spec in parameter_specs(model.config).items():
        *parents, leaf = name.split("/")
        array = model.weights[parents[0]][leaf] if parents else model.weights[leaf]
        assert array.sharding == sharding_of(spec.shape, spec.axes, mesh), name
        assert len(array.addressable_shards) == 8
    partitions = {name: array.sharding.spec for name, array in model.weights["layers"].items()}
    assert partitions["query"] == PartitionSpec(None, "fsdp", "tensor", None)
    assert partitions["key"] == PartitionSpec(None, "fsdp", None, None)  # 4 devices do not divide 2 heads
    assert partitions["down"] == PartitionSpec(None, "tensor", "fsdp")
    # What each device holds is its part and no more.
    assert {shard.data.shape for shard in model.weights["layers"]["query"].addressable_shards} == {(3, 10, 2, 4)}
    assert {shard.data.shape for shard in model.weights["embedding"].addressable_shards} == {(8, 10)}


def test_logits_over_the_mesh_equal_those_of_one_device(either_form: Path):
    tokens = np.random.default_rng(0).integers(0, 32, (2, 7), np.int32)
    expected = load_model(either_form)(tokens)
    for mesh in (make_mesh(fsdp=2, tensor=4), make_mesh(data=2, fsdp=4), make_mesh(tensor=8)):
        logits = load_model(either_form, mesh=mesh)(tokens)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


def test_untied_embeddings_stay_apart(stored_in_bfloat16: Path):
    weights = load_model(stored_in_bfloat16).weights
    assert np.abs(weights["unembedding"].T - weights["embedding"]).max() > 0.1


def test_missing_folder(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"model folder .*nowhere does not exist"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("dtype", ["int8", "float64", "no such thing"])
def test_dtypes_in_which_no_model_runs(tiny_qwen2: TinyModel, dtype: str):
    with pytest.raises(ValueError, match=f"'{dtype}' is not one of float32, bfloat16, float16"):
        load_model(tiny_qwen2.folder, dtype=dtype)


def test_config_that_was_changed_after_conversion(either_form: Path, tmp_path: Path):
    shutil.copytree(either_form, tmp_path / "copy")
    attributes = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(attributes | {"intermediate_size": 30}))
    with pytest.raises(ValueError) as caught:
        load_model(tmp_path / "copy")
    if (either_form / MANIFEST).exists():
        assert "disagree: layers/down (stored: (3, 28, 20), needed: (3, 30, 20)), layers/gate" in str(caught.value)
    else:
        assert "wrong shape: model.layers.0.mlp.down_proj.weight is (20, 28), needs (20, 30)" in str(caught.value)


def test_converted_checkpoint_that_lost_a_parameter(stored_in_bfloat16: Path, tmp_path: Path):
    convert(stored_in_bfloat16, tmp_path / "converted")
    shutil.rmtree(tmp_path / "converted" / "parameters" / "layers.up")
    with pytest.raises(
        FileNotFoundError, match=r"parameters/layers\.up is missing, although .* lists it; convert again"
    ):
        load_model(tmp_path / "converted")


def test_each_part_of_a_parameter_is_read_once(stored_in_bfloat16: Path, monkeypatch: pytest.MonkeyPatch):
    """Replicas share what was read, and no more is read than the parameter has."""
    read, sizes = load.read_parameter, {}

    def watch(rule, config, tensors, dtype, index):
        part = read(rule, config, tensors, dtype, index)
        sizes.setdefault(rule.parameter, []).append(part.size)
        return part

    monkeypatch.setattr(load, "read_parameter", watch)
    model = load_model(stored_in_bfloat16, mesh=make_mesh(data=2, fsdp=2, tensor=2))
    for name, spec in parameter_specs(model.config).items():
        assert sum(sizes[name]) == np.prod(spec.shape), name
    assert len(sizes["layers/query"]) == 4  # of 8 devices
    assert len(sizes["layers/attention_norm"]) == 2
