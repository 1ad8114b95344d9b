"""The contrast of weights: hand-worked changes, NumPy on whole tensors, and folders that do not fit."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxeap.weights import contrast, contrast_weights
from jaxeap.weights.contrast import kind_of, layer_of
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint


def pair(tmp_path: Path, base: dict[str, np.ndarray], tuned: dict[str, np.ndarray]) -> tuple[Path, Path]:
    for name, tensors in (("base", base), ("tuned", tuned)):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
    return tmp_path / "base", tmp_path / "tuned"


def test_one_matrix_by_hand(tmp_path: Path):
    """Of 6 entries: one stays, one is -0, one moves by 1, one by 2, one by 8 steps of 2^-7, one from 0 to 2^-20."""
    before = np.asarray([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], jnp.bfloat16)
    after = np.asarray([[1.0, -0.0, 1 + 2**-7], [1 + 2**-6, 1 + 2**-4, 2**-20]], jnp.bfloat16)
    found = contrast_weights(*pair(tmp_path, {"w": before}, {"w": after}), steps=(1, 4), tolerance=1e-5)
    (tensor,) = found.tensors
    assert (tensor.entries, tensor.changed, tensor.beyond, tensor.beyond_tolerance) == (6, 4, (3, 2), 3)
    assert tensor.changed_share == 4 / 6 and tensor.beyond_shares == (3 / 6, 2 / 6)
    difference = [2**-7, 2**-6, 2**-4, 2**-20]
    assert tensor.difference_norm == pytest.approx(np.linalg.norm(difference), rel=1e-12)
    assert tensor.relative_norm == pytest.approx(np.linalg.norm(difference) / 2, rel=1e-12)
    assert (tensor.dtype, tensor.layer) == ("bfloat16", None)
    whole = np.asarray([[0, 0, 2**-7], [2**-6, 2**-4, 2**-20]])
    np.testing.assert_allclose(tensor.spectrum.singular_values, np.linalg.svd(whole, compute_uv=False), rtol=1e-6)


@pytest.mark.parametrize("block_entries", [1, 50, 2**21])
def test_groups_are_the_sums_of_their_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_entries: int):
    monkeypatch.setattr(contrast, "BLOCK_ENTRIES", block_entries)
    attributes = attributes_of("llama")
    base = tensors_of(attributes)
    rng = np.random.default_rng(3)
    tuned = {
        name: np.where(rng.random(tensor.shape) < 0.3, tensor + 0.01, tensor).astype(np.float32)
        for name, tensor in base.items()
    }
    folders = [write_checkpoint(tmp_path / name, attributes, tensors, shards=shards) for name, tensors, shards in
               (("base", base, 1), ("tuned", tuned, 3))]  # fmt: skip
    found = contrast_weights(*folders)
    assert [layer.layer for layer in found.by_layer()] == [0, 1, 2]
    for group, chosen in (
        (found.total, base),
        (found.by_layer()[1], [name for name in base if ".1." in name]),
        (
            next(kind for kind in found.by_kind() if "up_proj" in kind.name),
            [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(3)],
        ),
    ):
        before, after = (np.concatenate([tensors[name].ravel() for name in chosen]) for tensors in (base, tuned))
        assert (group.entries, group.changed) == (before.size, np.count_nonzero(before != after))
        assert group.beyond_tolerance == group.changed
        difference = after.astype(np.float64) - before.astype(np.float64)
        assert group.difference_norm == pytest.approx(np.linalg.norm(difference), rel=1e-9)
        assert group.relative_norm == pytest.approx(
            np.linalg.norm(difference) / np.linalg.norm(before.astype(np.float64)), rel=1e-9
        )
    assert found.tensors[0].name == "model.embed_tokens.weight"
    name = "model.layers.2.mlp.down_proj.weight"
    tensor = next(tensor for tensor in found.tensors if tensor.name == name)
    singular = np.linalg.svd((tuned[name] - base[name]).astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(tensor.spectrum.singular_values, singular, rtol=1e-4, atol=1e-6)


def test_a_model_against_itself(tmp_path: Path):
    attributes = attributes_of("qwen2")
    folder = write_checkpoint(tmp_path, attributes, tensors_of(attributes))
    total = contrast_weights(folder, folder).total
    assert (total.changed, total.beyond, total.beyond_tolerance, total.difference_norm) == (0, (0, 0, 0), 0, 0.0)


def test_what_rounding_hides(tmp_path: Path):
    """A float32 update far below a bfloat16 step is a change in float32 and none in bfloat16."""
    weight = np.random.default_rng(0).uniform(1, 2, (9, 7)).astype(jnp.bfloat16).astype(np.float32)
    folders = pair(tmp_path, {"w": weight}, {"w": weight + np.float32(1e-4)})
    assert contrast_weights(*folders).total.changed_share == 1
    assert contrast_weights(*folders, dtype="bfloat16").total.changed_share == 0


def test_the_coarser_stored_dtype_decides(tmp_path: Path):
    weight = np.random.default_rng(0).uniform(1, 2, (9, 7)).astype(np.float32)
    found = contrast_weights(*pair(tmp_path, {"w": weight}, {"w": weight.astype(jnp.bfloat16)}))
    assert (found.total.dtype, found.total.changed) == ("bfloat16", 0)


def test_what_is_not_compared_is_told(tmp_path: Path):
    base = {"a": np.ones((4, 3), np.float32), "b": np.ones(3, np.float32), "ids": np.arange(3)}
    tuned = {"a": np.ones((6, 3), np.float32), "c": np.ones(3, np.float32), "ids": np.arange(3)}
    found = contrast_weights(*pair(tmp_path, base, tuned))
    assert [tensor.name for tensor in found.tensors] == ["a"] and found.total.entries == 12
    assert found.notes == (
        "only in base: b",
        "only in tuned: c",
        "compared in their common rows: a has shapes (4, 3) and (6, 3)",
        "not compared: ids is stored as I64 and I64",
    )


def test_an_adapter_against_its_base(tmp_path: Path):
    """Rank 2 in, rank 2 out; what the adapter leaves alone has not changed."""
    attributes = attributes_of("llama")
    base = write_checkpoint(tmp_path / "base", attributes, tensors_of(attributes))
    rng, prefix = np.random.default_rng(0), "base_model.model.model.layers.1.mlp.up_proj.lora_"
    a, b = rng.normal(size=(2, 20)).astype(np.float32), rng.normal(size=(28, 2)).astype(np.float32)
    (tmp_path / "adapter").mkdir()
    save_file({prefix + "A.weight": a, prefix + "B.weight": b}, tmp_path / "adapter" / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["up_proj"]}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    found = contrast_weights(base, tmp_path / "adapter")
    (changed,) = [tensor for tensor in found.tensors if tensor.changed]
    assert changed.name == "model.layers.1.mlp.up_proj.weight"
    np.testing.assert_allclose(
        changed.spectrum.singular_values[:3], [*np.linalg.svd(b @ a, compute_uv=False)[:2], 0], rtol=1e-4, atol=1e-4
    )


def test_folders_that_cannot_be_compared(tmp_path: Path):
    base, tuned = pair(tmp_path, {"a": np.ones(3, np.float32)}, {"b": np.ones(3, np.float32)})
    with pytest.raises(ValueError, match="have no tensor in common"):
        contrast_weights(base, tuned)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        contrast_weights(base, tmp_path / "nowhere")
    (base / "jaxeap_checkpoint.json").touch()
    with pytest.raises(ValueError, match="is a converted checkpoint; weights are compared from Hugging Face folders"):
        contrast_weights(base, tuned)


def test_names():
    assert (layer_of("model.layers.12.mlp.up_proj.weight"), layer_of("h.3.attn.bias")) == (12, 3)
    assert (layer_of("lm_head.weight"), layer_of("model.norm.weight")) == (None, None)
    assert kind_of("model.layers.12.mlp.experts.7.up.weight") == "model.layers.{layer}.mlp.experts.{expert}.up.weight"
    assert kind_of("h.3.attn.bias") == "h.{layer}.attn.bias"
