"""What is refused before any tensor is read."""

import json
from pathlib import Path

import pytest

from jaxeap.models.checkpoint import open_checkpoint
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint


def test_a_plain_folder(tmp_path: Path):
    attributes = attributes_of("llama")
    tensors = tensors_of(attributes)
    checkpoint = open_checkpoint(write_checkpoint(tmp_path, attributes, tensors))
    assert (checkpoint.config.family, checkpoint.folders) == ("llama", (tmp_path,))
    assert {name: stored.shape for name, stored in checkpoint.tensors.items()} == {
        name: tensor.shape for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "fp8"])
def test_quantised_weights(tmp_path: Path, method: str):
    attributes = attributes_of("llama") | {"quantization_config": {"quant_method": method, "bits": 4}}
    (tmp_path / "config.json").write_text(json.dumps(attributes))
    message = rf"config\.json: quantization_config says that the weights are quantised \({method}\).*dequantize\(\)"
    with pytest.raises(ValueError, match=message):
        open_checkpoint(tmp_path)


def test_pickled_weights(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(attributes_of("llama")))
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(FileNotFoundError, match=r"pytorch_model\.bin is a pickle.*safe_serialization=True"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_configuration(tmp_path: Path, content: str):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json (is not valid JSON|must hold a JSON object)"):
        open_checkpoint(tmp_path)
