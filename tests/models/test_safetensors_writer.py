"""Our writer against the safetensors library's reader."""

import json
import struct
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxeap.models.safetensors_folder import list_tensors
from jaxeap.models.safetensors_writer import TensorToWrite, write_checkpoint_files, write_safetensors

RNG = np.random.default_rng(0)
ARRAYS = {
    "odd": RNG.standard_normal((3, 5)).astype(jnp.bfloat16),
    "wide": RNG.standard_normal((7, 2)).astype(np.float32),
    "half": RNG.standard_normal(9).astype(np.float16),
}


def to_write(blocks: int = 1) -> list[TensorToWrite]:
    return [
        TensorToWrite(name, array.shape, array.dtype, np.array_split(array, blocks)) for name, array in ARRAYS.items()
    ]


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_the_library_reads_what_was_written(tmp_path: Path, blocks: int):
    write_safetensors(tmp_path / "model.safetensors", to_write(blocks))
    found = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_entries_are_aligned(tmp_path: Path):
    write_safetensors(tmp_path / "model.safetensors", to_write())
    content = (tmp_path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert header.pop("__metadata__") == {"format": "pt"}
    assert all(entry["data_offsets"][0] % ARRAYS[name].itemsize == 0 for name, entry in header.items())


def test_shards_have_an_index(tmp_path: Path):
    write_checkpoint_files(tmp_path, to_write(), shard_bytes=80)
    assert len(list(tmp_path.glob("model-0000?-of-00002.safetensors"))) == 2
    stored = list_tensors(tmp_path)
    assert {name: tensor.shape for name, tensor in stored.items()} == {n: a.shape for n, a in ARRAYS.items()}
    assert json.loads((tmp_path / "model.safetensors.index.json").read_text())["metadata"]["total_size"] == 104


def test_blocks_that_do_not_fit(tmp_path: Path):
    short = TensorToWrite("short", (4,), np.dtype(np.float32), [np.zeros(3, np.float32)])
    other = TensorToWrite("other", (4,), np.dtype(np.float32), [np.zeros(8, np.float16)])
    wide = TensorToWrite("wide", (4,), np.dtype(np.float64), [np.zeros(4)])
    for tensor, message in (
        (short, "short has 12 bytes in its blocks, 16 by its shape"),
        (other, "other is to be float32 and has a block of float16"),
        (wide, "wide is float64, must be one of float32, bfloat16, float16"),
    ):
        with pytest.raises(ValueError, match=message):
            write_safetensors(tmp_path / "model.safetensors", [tensor])
