"""Listing and reading safetensors: one file, shards with an index, and everything that can be wrong with them."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxeap.models.safetensors_folder import StoredTensor, list_tensors, read_tensor, same_values

RNG = np.random.default_rng(0)
TENSORS = {
    "one": RNG.standard_normal((3, 5)).astype(np.float32),
    "two": RNG.standard_normal(7).astype(jnp.bfloat16),
    "three": RNG.standard_normal((2, 2)).astype(np.float16),
}


def write_shards(folder: Path, **files: list[str]) -> None:
    """Files of the named tensors, and an index of them."""
    for file, names in files.items():
        save_file({name: TENSORS[name] for name in names}, folder / f"{file}.safetensors")
    write_index(folder, {name: f"{file}.safetensors" for file, names in files.items() for name in names})


def write_index(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def check_all_are_read(folder: Path) -> None:
    stored = list_tensors(folder)
    assert set(stored) == set(TENSORS)
    for name, tensor in TENSORS.items():
        read = read_tensor(stored[name])
        assert (read.dtype, stored[name].shape) == (tensor.dtype, tensor.shape)
        np.testing.assert_array_equal(read, tensor)


def test_single_file(tmp_path: Path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    check_all_are_read(tmp_path)
    assert list_tensors(tmp_path)["two"] == StoredTensor("two", tmp_path / "model.safetensors", (7,), "BF16")


def test_shards_with_an_index(tmp_path: Path):
    write_shards(tmp_path, a=["one", "three"], b=["two"])
    check_all_are_read(tmp_path)


def test_single_file_comes_before_an_index_left_behind(tmp_path: Path):
    """As in transformers."""
    write_index(tmp_path, {"one": "gone.safetensors"})
    save_file(TENSORS, tmp_path / "model.safetensors")
    check_all_are_read(tmp_path)


def test_no_safetensors(tmp_path: Path):
    with pytest.raises(
        FileNotFoundError, match=r"holds neither model\.safetensors nor model\.safetensors\.index\.json$"
    ):
        list_tensors(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_pickled_weights_get_a_remedy(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"never opened")
    with pytest.raises(FileNotFoundError, match=r"is a pickle.*save_pretrained\(folder, safe_serialization=True\)"):
        list_tensors(tmp_path)


def test_truncated_and_corrupt_files_are_named_in_one_message(tmp_path: Path):
    write_shards(tmp_path, a=["one"], b=["two"], c=["three"])
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[:-8])
    (tmp_path / "b.safetensors").write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError) as caught:
        list_tensors(tmp_path)
    assert "a.safetensors is truncated or corrupt" in str(caught.value)
    assert "b.safetensors is truncated or corrupt" in str(caught.value)
    assert "c.safetensors" not in str(caught.value)


def test_empty_file(tmp_path: Path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ValueError, match=r"model\.safetensors is truncated or corrupt"):
        list_tensors(tmp_path)


def test_index_naming_missing_files(tmp_path: Path):
    write_shards(tmp_path, a=["one"], b=["two"], c=["three"])
    (tmp_path / "a.safetensors").unlink()
    (tmp_path / "c.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"index\.json names files.*a\.safetensors, .*c\.safetensors; download"):
        list_tensors(tmp_path)


def test_index_naming_a_tensor_that_is_not_there(tmp_path: Path):
    write_shards(tmp_path, a=["one"], b=["two"])
    write_index(tmp_path, {"one": "b.safetensors", "two": "b.safetensors", "four": "a.safetensors"})
    with pytest.raises(ValueError) as caught:
        list_tensors(tmp_path)
    assert "says that one lies in b.safetensors, and it does not" in str(caught.value)
    assert "says that four lies in a.safetensors, and it does not" in str(caught.value)


def test_tensor_in_two_shards(tmp_path: Path):
    write_shards(tmp_path, a=["one", "two"], b=["two", "three"])
    with pytest.raises(ValueError, match=r"two lies in both a\.safetensors and b\.safetensors"):
        list_tensors(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": ["a"]}', '{"weight_map": {"one": 1}}'])
def test_damaged_index(tmp_path: Path, content: str):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=r"index\.json is not an index of safetensors.*download it again"):
        list_tensors(tmp_path)


def test_index_cannot_lead_out_of_the_folder(tmp_path: Path):
    (tmp_path / "inside").mkdir()
    save_file(TENSORS, tmp_path / "outside.safetensors")
    write_index(tmp_path / "inside", dict.fromkeys(TENSORS, "../outside.safetensors"))
    with pytest.raises(ValueError, match=r"names '\.\./outside\.safetensors', which is not the name of a file beside"):
        list_tensors(tmp_path / "inside")


def test_same_values_looks_at_every_row(tmp_path: Path):
    matrix = RNG.standard_normal((10, 3)).astype(jnp.bfloat16)
    other = matrix.copy()
    other[9, 2] += 1
    save_file(
        {
            "a": matrix,
            "b": matrix.copy(),
            "other": other,
            "wide": matrix.astype(np.float32),
            "short": matrix[:9].copy(),
        },
        tmp_path / "model.safetensors",
    )
    stored = list_tensors(tmp_path)
    assert same_values(stored["a"], stored["b"], rows=4)
    for name in ("other", "wide", "short"):
        assert not same_values(stored["a"], stored[name], rows=4)
