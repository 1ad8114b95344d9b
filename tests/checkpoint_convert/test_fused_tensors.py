"""Families whose tensors are not one for each parameter and layer: fused, or one for each expert:
converted, verified and written back bit by bit."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from checkpoint_convert.conversion import convert
from checkpoint_convert.to_hugging_face import to_hugging_face
from jaxeap.models.families import FAMILIES, read_model_config
from jaxeap.models.load import load_model
from tests.models.tiny_checkpoints import attributes_of, write_checkpoint


@pytest.fixture(params=["gpt2", "gpt_neox", "phi3", "mixtral", "qwen3_moe"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    attributes = attributes_of(request.param)
    folder = write_checkpoint(tmp_path / "source", attributes, {})
    config = read_model_config(folder)
    rng = np.random.default_rng(0)
    tensors = {
        name: rng.normal(size=rule.tensor_shape(config)).astype(np.float32)
        for rule in FAMILIES[request.param].tensors(config)
        for name in rule.tensor_names(config)
    }
    write_checkpoint(folder, attributes, tensors)
    return folder, tensors


def test_there_and_back(checkpoint: tuple[Path, dict[str, np.ndarray]], tmp_path: Path):
    folder, tensors = checkpoint
    convert(folder, tmp_path / "converted", verified=True)
    to_hugging_face(tmp_path / "converted", tmp_path / "back")
    back = load_file(tmp_path / "back" / "model.safetensors")
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back[name], tensor, err_msg=name)


def test_converted_and_original_are_one_model(checkpoint: tuple[Path, dict[str, np.ndarray]], tmp_path: Path):
    folder, _ = checkpoint
    convert(folder, tmp_path / "converted")
    tokens = np.arange(7)[None]
    np.testing.assert_array_equal(load_model(folder)(tokens), load_model(tmp_path / "converted")(tokens))


@pytest.mark.parametrize("checkpoint", ["gpt2"], indirect=True)
def test_files_of_the_bare_model_are_the_same_model(checkpoint: tuple[Path, dict[str, np.ndarray]], tmp_path: Path):
    """As those of openai-community/gpt2, whose names lack `transformer.`."""
    folder, tensors = checkpoint
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    bare["h.0.attn.bias"] = np.ones((1, 1, 17, 17), np.float32)
    write_checkpoint(tmp_path / "bare", attributes_of("gpt2"), bare)
    tokens = np.arange(7)[None]
    np.testing.assert_array_equal(load_model(tmp_path / "bare")(tokens), load_model(folder)(tokens))
    convert(tmp_path / "bare", tmp_path / "converted", verified=True)
    np.testing.assert_array_equal(load_model(tmp_path / "converted")(tokens), load_model(folder)(tokens))
