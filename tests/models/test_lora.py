"""LoRA adapters: merged weights against W + s B A by hand, and refusals of what is not handled."""

import json
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from checkpoint_convert import convert, to_hugging_face
from checkpoint_convert.plan import plan_conversion
from checkpoint_convert.verification import verify
from jaxeap.models.load import load_model
from jaxeap.models.safetensors_folder import list_tensors, read_tensor
from jaxeap.parallel.mesh import make_mesh
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint

RANK, ALPHA = 3, 12
# As peft 0.17 writes it.
CONFIG = {
    "alpha_pattern": {},
    "auto_mapping": None,
    "base_model_name_or_path": "owner/model",
    "bias": "none",
    "corda_config": None,
    "eva_config": None,
    "exclude_modules": None,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_alpha": ALPHA,
    "lora_bias": False,
    "lora_dropout": 0.05,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "modules_to_save": None,
    "peft_type": "LORA",
    "qalora_group_size": 16,
    "r": RANK,
    "rank_pattern": {},
    "revision": None,
    "target_modules": ["q_proj", "down_proj"],
    "target_parameters": None,
    "task_type": "CAUSAL_LM",
    "trainable_token_indices": None,
    "use_dora": False,
    "use_qalora": False,
    "use_rslora": False,
}
ADAPTED = [f"model.layers.{layer}.{name}" for layer in range(3) for name in ("self_attn.q_proj", "mlp.down_proj")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    attributes = attributes_of("llama")
    folder = write_checkpoint(
        tmp_path_factory.mktemp("base"), attributes, tensors_of(attributes, dtype=jnp.bfloat16), shards=2
    )
    (folder / "tokenizer.json").write_text('{"of": "base"}')
    return folder


def write_adapter(folder: Path, tensors: dict[str, np.ndarray] | None = None, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | changes))
    save_file(adapter_tensors() if tensors is None else tensors, folder / "adapter_model.safetensors")
    return folder


def adapter_tensors(rank: int = RANK) -> dict[str, np.ndarray]:
    rng, shapes = np.random.default_rng(5), {"q_proj": (24, 20), "down_proj": (20, 28)}
    tensors = {}
    for module in ADAPTED:
        outputs, inputs = shapes[module.rpartition(".")[2]]
        tensors[f"base_model.model.{module}.lora_A.weight"] = rng.normal(size=(rank, inputs)).astype(np.float32)
        tensors[f"base_model.model.{module}.lora_B.weight"] = rng.normal(size=(outputs, rank)).astype(np.float32)
    return tensors


def merged_by_hand(scale: float, rank: int = RANK) -> dict[str, np.ndarray]:
    """Base tensors with W + scale B A, in float64 and by a loop over the rank."""
    tensors = tensors_of(attributes_of("llama"), dtype=jnp.bfloat16)
    merged, adapter = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}, adapter_tensors(rank)
    for module in ADAPTED:
        a, b = (adapter[f"base_model.model.{module}.lora_{side}.weight"].astype(np.float64) for side in "AB")
        for component in range(rank):
            merged[f"{module}.weight"] += scale * np.outer(b[:, component], a[component])
    return merged


def assert_merged(weights, merged: dict[str, np.ndarray], rtol: float = 1e-5) -> None:
    for layer in range(3):
        prefix = f"model.layers.{layer}."
        query = np.asarray(weights["layers"]["query"][layer], np.float64).reshape(20, 24).T
        np.testing.assert_allclose(query, merged[prefix + "self_attn.q_proj.weight"], rtol, atol=rtol)
        down = np.asarray(weights["layers"]["down"][layer], np.float64).T
        np.testing.assert_allclose(down, merged[prefix + "mlp.down_proj.weight"], rtol, atol=rtol)
        up = np.asarray(weights["layers"]["up"][layer], np.float64).T
        np.testing.assert_array_equal(up, merged[prefix + "mlp.up_proj.weight"])


def test_one_entry_by_hand(tmp_path: Path):
    """W = 2, A = [[3]], B = [[5]], r = 1, alpha = 4: 2 + 4 * 15 = 62."""
    attributes = attributes_of("llama", num_hidden_layers=1)
    tensors = tensors_of(attributes)
    tensors["model.layers.0.mlp.up_proj.weight"][:] = 0
    tensors["model.layers.0.mlp.up_proj.weight"][7, 1] = 2
    write_checkpoint(tmp_path / "base", attributes, tensors)
    a, b = np.zeros((1, 20), np.float32), np.zeros((28, 1), np.float32)
    a[0, 1], b[7, 0] = 3, 5
    prefix = "base_model.model.model.layers.0.mlp.up_proj.lora_"
    pair = {prefix + "A.weight": a, prefix + "B.weight": b}
    adapter = write_adapter(tmp_path / "adapter", pair, r=1, lora_alpha=4, target_modules=["up_proj"])
    up = np.asarray(load_model(adapter, base=tmp_path / "base").weights["layers"]["up"])
    assert up[0, 1, 7] == 62
    assert np.count_nonzero(up) == 1


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        ({}, ALPHA / RANK),
        ({"use_rslora": True}, ALPHA / RANK**0.5),
        ({"lora_alpha": 1}, 1 / RANK),
        ({"alpha_pattern": {"self_attn.q_proj": 6, "down_proj": 6}}, 6 / RANK),
        ({"r": 8, "rank_pattern": {"q_proj|down_proj": RANK}}, ALPHA / RANK),
        ({"target_modules": "all-linear"}, ALPHA / RANK),
    ],
)
def test_scale_is_pefts(base: Path, tmp_path: Path, changes: dict[str, Any], scale: float):
    adapter = write_adapter(tmp_path / "adapter", **changes)
    assert_merged(load_model(adapter, base=base).weights, merged_by_hand(scale))


def test_the_base_that_the_adapter_names(base: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter", base_model_name_or_path=str(base))
    assert_merged(load_model(adapter).weights, merged_by_hand(ALPHA / RANK))


def test_each_device_of_a_mesh_gets_its_part(base: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter")
    sharded = load_model(adapter, base=base, mesh=make_mesh(fsdp=4, tensor=2))
    assert_merged(sharded.weights, merged_by_hand(ALPHA / RANK))
    assert {shard.data.shape for shard in sharded.weights["layers"]["query"].addressable_shards} == {(3, 5, 3, 4)}


def test_the_bases_dtype_is_rounded_to_only_where_it_is_asked_for(base: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter")
    exact, rounded = (load_model(adapter, base=base, dtype=dtype).weights for dtype in ("float32", None))
    assert rounded["layers"]["query"].dtype == jnp.bfloat16
    chex.assert_trees_all_equal(rounded, jax.tree.map(lambda weight: weight.astype(jnp.bfloat16), exact))


def test_layers_that_lie_as_inputs_by_outputs(tmp_path: Path):
    """`fan_in_fan_out` (GPT-2's Conv1D) on a square matrix, and an embedding: W + (B A)^T."""
    attributes = attributes_of("llama", num_attention_heads=5, num_key_value_heads=1)
    tensors = tensors_of(attributes)
    write_checkpoint(tmp_path / "base", attributes, tensors)
    rng, prefix = np.random.default_rng(0), "base_model.model.model."
    a, b, a_embedding, b_embedding = (
        rng.normal(size=shape).astype(np.float32) for shape in ((3, 20), (20, 3), (3, 31), (20, 3))
    )
    square, embedding = prefix + "layers.1.self_attn.o_proj", prefix + "embed_tokens"
    pair = {square + ".lora_A.weight": a, square + ".lora_B.weight": b}
    pair |= {embedding + ".lora_embedding_A": a_embedding, embedding + ".lora_embedding_B": b_embedding}
    adapter = write_adapter(tmp_path / "adapter", pair, fan_in_fan_out=True, target_modules=["o_proj", "embed_tokens"])
    weights = load_model(adapter, base=tmp_path / "base").weights
    expected = tensors["model.layers.1.self_attn.o_proj.weight"] + 4 * (b @ a).T
    np.testing.assert_allclose(weights["layers"]["output"][1].reshape(20, 20).T, expected, atol=1e-5)
    expected = tensors["model.embed_tokens.weight"] + 4 * (b_embedding @ a_embedding).T
    np.testing.assert_allclose(weights["embedding"], expected, atol=1e-5)


def test_conversion_merges_and_the_way_back_writes_the_merged_model(base: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter")
    (adapter / "chat_template.jinja").write_text("of the adapter")
    convert(adapter, tmp_path / "model", "float32", verified=True, base=base)
    chex.assert_trees_all_equal(load_model(tmp_path / "model").weights, load_model(adapter, base=base).weights)
    with pytest.raises(ValueError, match=r"differs from model\.layers\.0\.self_attn\.q_proj\.weight"):
        verify(plan_conversion(base, "float32"), tmp_path / "model")
    to_hugging_face(tmp_path / "model", tmp_path / "back")
    assert (tmp_path / "back" / "tokenizer.json").read_text() == '{"of": "base"}'
    assert (tmp_path / "back" / "chat_template.jinja").read_text() == "of the adapter"
    stored = list_tensors(tmp_path / "back")
    for name, tensor in merged_by_hand(ALPHA / RANK).items():
        np.testing.assert_allclose(read_tensor(stored[name]), tensor, rtol=1e-5, atol=1e-5)


def test_a_base_that_is_not_here(base: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter")
    message = r"is a LoRA adapter without its base model: .* names 'owner/model', which is no folder here"
    with pytest.raises(FileNotFoundError, match=message):
        load_model(adapter)
    with pytest.raises(FileNotFoundError, match=r"base model folder .*nowhere does not exist"):
        load_model(adapter, base=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"was given, but .* is no adapter"):
        load_model(base, base=base)
    with pytest.raises(ValueError, match="is an adapter itself"):
        load_model(adapter, base=adapter)
    convert(base, tmp_path / "converted")
    with pytest.raises(ValueError, match="is a converted checkpoint, and adapters are merged into safetensors"):
        load_model(adapter, base=tmp_path / "converted")
    with pytest.raises(ValueError, match="is a converted checkpoint, which is whole without one"):
        load_model(tmp_path / "converted", base=base)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_dora": True}, "use_dora=True"),
        ({"bias": "lora_only"}, r"bias='lora_only' \(handled: 'none'\)"),
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save=\['lm_head'\]"),
        ({"peft_type": "IA3"}, r"peft_type='IA3' \(handled: 'LORA'\)"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa', which changes the base's weights"),
        ({"trainable_token_indices": [3]}, r"unknown attribute trainable_token_indices=\[3\]"),
        ({"r": 0}, "r=0 .must be a positive number"),
    ],
)
def test_other_kinds_are_refused(base: Path, tmp_path: Path, changes: dict[str, Any], message: str):
    adapter = write_adapter(tmp_path / "adapter", **changes)
    with pytest.raises(ValueError, match=rf"adapter_config\.json is not handled: {message}.*merge_and_unload"):
        load_model(adapter, base=base)


def test_every_finding_is_in_one_message(base: Path, tmp_path: Path):
    tensors = adapter_tensors()
    prefix = "base_model.model.model."
    del tensors[prefix + "layers.0.self_attn.q_proj.lora_B.weight"]
    tensors[prefix + "layers.1.mlp.down_proj.lora_A.weight"] = np.zeros((RANK + 1, 28), np.float32)
    tensors[prefix + "layers.3.self_attn.q_proj.lora_A.weight"] = np.zeros((RANK, 20), np.float32)
    tensors[prefix + "embed_tokens.weight"] = np.zeros((31, 20), np.float32)
    adapter = write_adapter(tmp_path / "adapter", tensors, target_modules=["q_proj", "down_proj", "v_proj"])
    with pytest.raises(ValueError) as caught:
        load_model(adapter, base=base)
    first, *findings = str(caught.value).splitlines()
    assert first.endswith("adapter_model.safetensors: 5 findings:")
    for part in (
        "model.layers.0.self_attn.q_proj has only side A of its update",
        "model.layers.1.mlp.down_proj: A is (4, 28) and B (20, 3); rank 3 on model.layers.1.mlp.down_proj.weight",
        "model.layers.3.self_attn.q_proj is adapted, and the base model has no model.layers.3",
        "embed_tokens.weight is no tensor of a LoRA adapter (merge it with peft",
        "target_modules names v_proj, and no module of that name has an update",
    ):
        assert any(part in finding for finding in findings), part


def test_tied_embeddings_are_not_untied(tmp_path: Path):
    attributes = attributes_of("qwen2")
    write_checkpoint(tmp_path / "base", attributes, tensors_of(attributes))
    prefix = "base_model.model.model.embed_tokens.lora_embedding_"
    pair = {prefix + "A": np.zeros((RANK, 31), np.float32), prefix + "B": np.zeros((20, RANK), np.float32)}
    adapter = write_adapter(tmp_path / "adapter", pair, target_modules=["embed_tokens"])
    with pytest.raises(ValueError, match=r"model\.embed_tokens is adapted, and is tied"):
        load_model(adapter, base=tmp_path / "base")


def test_files_that_are_missing_or_damaged(base: Path, tmp_path: Path):
    adapter = write_adapter(tmp_path / "adapter")
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors is truncated or corrupt"):
        load_model(adapter, base=base)
    file.rename(adapter / "adapter_model.bin")
    with pytest.raises(FileNotFoundError, match=r"has no adapter_model\.safetensors; adapter_model\.bin is a pickle"):
        load_model(adapter, base=base)
    (adapter / "adapter_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"adapter_config\.json is not valid JSON"):
        load_model(adapter, base=base)


def test_a_folder_that_is_both(base: Path, tmp_path: Path):
    attributes = attributes_of("llama")
    both = write_checkpoint(tmp_path / "both", attributes, tensors_of(attributes))
    write_adapter(both)
    with pytest.raises(ValueError, match=r"holds a model and, in adapter_config\.json, an adapter"):
        load_model(both, base=base)
