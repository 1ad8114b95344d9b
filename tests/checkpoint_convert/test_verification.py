"""The check of a conversion: it finds one wrong bit, and another shape or dtype."""

import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore

from checkpoint_convert import convert, plan
from checkpoint_convert.array_store import create_array, open_array
from checkpoint_convert.plan import plan_conversion
from checkpoint_convert.verification import verify
from jaxeap.models.manifest import parameter_folder
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint


@pytest.fixture
def source(tmp_path: Path) -> Path:
    attributes = attributes_of("qwen2")
    tensors = tensors_of(attributes, dtype=jnp.bfloat16)
    tensors["model.norm.weight"][3] = np.nan
    return write_checkpoint(tmp_path / "source", attributes, tensors, shards=2)


def test_a_conversion_passes(source: Path, tmp_path: Path):
    for dtype in (None, "float32"):
        convert(source, tmp_path / str(dtype), dtype)
        verify(plan_conversion(source, dtype), tmp_path / str(dtype))


@pytest.mark.parametrize("limit", [100, 2**24])
def test_one_changed_entry_is_found_and_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
):
    monkeypatch.setattr(plan, "BLOCK_BYTES", limit)
    convert(source, tmp_path / "model")
    store = open_array(parameter_folder(tmp_path / "model", "layers/query"))
    entry = np.asarray(store[1, 7, 4, 2].read().result())
    store = tensorstore.open(store.spec(), open=True, read=True, write=True).result()
    store[1, 7, 4, 2].write(np.negative(entry)).result()
    with pytest.raises(ValueError, match=r"differs from model\.layers\.1\.self_attn\.q_proj\.weight, rows") as caught:
        verify(plan_conversion(source), tmp_path / "model")
    assert str(caught.value).count("differs") == 1
    # Row 4 * 4 + 2 = 18 of [24, 20]: in blocks of one head each, rows 16 to 20.
    assert ("rows 16 to 20" if limit == 100 else "rows 0 to 24") in str(caught.value)


def test_other_dtypes_and_missing_parameters(source: Path, tmp_path: Path):
    convert(source, tmp_path / "model")
    with pytest.raises(ValueError, match=r"embedding is stored as \(31, 20\) bfloat16, should be \(31, 20\) float32"):
        verify(plan_conversion(source, "float32"), tmp_path / "model")
    shutil.rmtree(parameter_folder(tmp_path / "model", "layers/up"))
    with pytest.raises(FileNotFoundError, match=r"layers\.up/array is missing; convert the checkpoint again"):
        verify(plan_conversion(source), tmp_path / "model")


def test_an_array_whose_description_is_damaged(tmp_path: Path):
    create_array(tmp_path / "parameter", (2, 3), np.dtype(np.float32), (1, 3))
    (tmp_path / "parameter" / "array" / ".zarray").write_text("{")
    with pytest.raises(ValueError, match=r"is damaged .*; convert the checkpoint again"):
        open_array(tmp_path / "parameter")
