"""The way back to a Hugging Face folder: equal bits, and logits of transformers."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from checkpoint_convert import convert, to_hugging_face
from jaxeap.models.load import load_model
from jaxeap.models.manifest import MANIFEST
from jaxeap.models.model import Decoder
from jaxeap.models.safetensors_folder import list_tensors, read_tensor
from jaxeap.models.save import save_model
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint
from tests.models.tiny_configs import CONFIGS

FAMILIES = ("llama", "mistral", "mixtral", "qwen2")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_round_trip_keeps_every_bit(tmp_path: Path, family: str, dtype: str):
    attributes = attributes_of(family)
    tensors = tensors_of(attributes, dtype=jnp.dtype(dtype))
    write_checkpoint(tmp_path / "source", attributes, tensors, shards=2)
    (tmp_path / "source" / "tokenizer.json").write_text("{}")
    convert(tmp_path / "source", tmp_path / "converted")
    to_hugging_face(tmp_path / "converted", tmp_path / "back")
    stored = list_tensors(tmp_path / "back")
    assert set(stored) == set(tensors)
    for name, tensor in tensors.items():
        found = read_tensor(stored[name])
        assert found.dtype == tensor.dtype
        np.testing.assert_array_equal(found.view(np.uint8), np.ascontiguousarray(tensor).view(np.uint8), name)
    for name in ("config.json", "tokenizer.json"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "source" / name).read_bytes()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("name", CONFIGS)
def test_round_trip_of_every_family(tmp_path: Path, name: str):
    """transformers reads the source's files (test_save.py), and these are the same."""
    save_model(Decoder.random(CONFIGS[name]), tmp_path / "source")
    convert(tmp_path / "source", tmp_path / "converted", verified=True)
    to_hugging_face(tmp_path / "converted", tmp_path / "back")
    before, after = (load_file(tmp_path / folder / "model.safetensors") for folder in ("source", "back"))
    assert set(before) == set(after)
    for tensor in before:
        np.testing.assert_array_equal(after[tensor], before[tensor], tensor)
    assert (tmp_path / "back" / "config.json").read_bytes() == (tmp_path / "source" / "config.json").read_bytes()


def test_mixed_dtypes_and_shards(tmp_path: Path):
    attributes = attributes_of("qwen2")
    tensors = tensors_of(attributes, dtype=jnp.bfloat16)
    tensors["model.norm.weight"] = tensors["model.norm.weight"].astype(np.float32)
    write_checkpoint(tmp_path / "source", attributes, tensors)
    convert(tmp_path / "source", tmp_path / "converted")
    to_hugging_face(tmp_path / "converted", tmp_path / "back", shard_bytes=4000)
    files = sorted(path.name for path in (tmp_path / "back").glob("*.safetensors"))
    assert len(files) > 2 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert all((tmp_path / "back" / name).stat().st_size < 4000 + 3000 for name in files)  # header
    stored = list_tensors(tmp_path / "back")
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read_tensor(stored[name]), tensor)


def test_transformers_loads_it_with_equal_logits(tmp_path: Path):
    torch = pytest.importorskip("torch", reason="the reference implementation needs torch")
    import transformers

    attributes = attributes_of("qwen2") | {"dtype": "float32"}
    write_checkpoint(tmp_path / "source", attributes, tensors_of(attributes))
    convert(tmp_path / "source", tmp_path / "converted", "bfloat16")
    to_hugging_face(tmp_path / "converted", tmp_path / "back")
    assert json.loads((tmp_path / "back" / "config.json").read_text())["dtype"] == "bfloat16"
    reference, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "back", attn_implementation="eager", output_loading_info=True, dtype=torch.float32
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokens = np.random.default_rng(3).integers(0, 31, (2, 9))
    with torch.no_grad():
        expected = reference(torch.tensor(tokens)).logits.numpy()
    found = load_model(tmp_path / "converted")(tokens.astype(np.int32))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_refusals(tmp_path: Path):
    attributes = attributes_of("llama")
    source = write_checkpoint(tmp_path / "source", attributes, tensors_of(attributes))
    convert(source, tmp_path / "converted")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        to_hugging_face(tmp_path / "nowhere", tmp_path / "back")
    with pytest.raises(ValueError, match=f"is no converted checkpoint .{MANIFEST} is not there"):
        to_hugging_face(source, tmp_path / "back")
    with pytest.raises(FileExistsError, match="exists already; remove it, or name another one"):
        to_hugging_face(tmp_path / "converted", source)
    (tmp_path / "back.partial").mkdir()
    (tmp_path / "back.partial" / "precious").touch()
    with pytest.raises(FileExistsError, match="exists and no export made it"):
        to_hugging_face(tmp_path / "converted", tmp_path / "back")
    (tmp_path / "converted" / "config.json").write_text(json.dumps(attributes | {"intermediate_size": 30}))
    with pytest.raises(ValueError, match="disagree in layers/down, layers/gate, layers/up"):
        to_hugging_face(tmp_path / "converted", tmp_path / "other")


def test_what_an_export_left_is_replaced(tmp_path: Path):
    attributes = attributes_of("llama")
    source = write_checkpoint(tmp_path / "source", attributes, tensors_of(attributes))
    convert(source, tmp_path / "converted")
    (tmp_path / "back.partial").mkdir()
    (tmp_path / "back.partial" / "export.unfinished").touch()
    (tmp_path / "back.partial" / "model.safetensors").write_bytes(b"half of it")
    to_hugging_face(tmp_path / "converted", tmp_path / "back")
    assert {path.name for path in (tmp_path / "back").iterdir()} == {"config.json", "model.safetensors"}
