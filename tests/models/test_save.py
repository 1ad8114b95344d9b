"""Written folders: load_model gives the same arrays back, transformers the same logits."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import FAMILIES
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import abstract_weights
from jaxeap.models.save import hugging_face_tensors, save_model
from jaxeap.tasks.tokenizer import arithmetic_tokenizer, load_tokenizer
from tests.models.tiny_configs import CONFIGS, LLAMA


def test_every_family_can_be_written():
    assert {config.family for config in CONFIGS.values()} == set(FAMILIES)


def random_model(config: ModelConfig, seed: int = 0, dtype: Any = np.float32) -> Decoder:
    """Every parameter random, so that none is lost unseen."""
    rng = np.random.default_rng(seed)
    weights = jax.tree.map(lambda spec: jnp.asarray(rng.normal(0, 0.3, spec.shape), dtype), abstract_weights(config))
    return Decoder(config, weights)


@pytest.fixture(scope="module", params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Decoder:
    return random_model(CONFIGS[request.param], seed=1)


def test_to_tensor_undoes_to_parameter(model: Decoder) -> None:
    rng = np.random.default_rng(2)
    for rule in FAMILIES[model.config.family].tensors(model.config):
        if rule.part is not None:
            continue  # alone it makes no tensor; the round trip through a folder holds it to account
        tensor = rng.normal(size=rule.tensor_shape(model.config))
        np.testing.assert_array_equal(rule.to_tensor(rule.to_parameter(tensor, model.config), model.config), tensor)


def test_load_model_gives_the_same_arrays_back(model: Decoder, tmp_path: Path) -> None:
    save_model(model, tmp_path / "deep" / "folder")
    loaded = load_model(tmp_path / "deep" / "folder")
    assert loaded.config == model.config
    jax.tree.map(np.testing.assert_array_equal, loaded.weights, model.weights)


def test_transformers_gives_the_same_logits(model: Decoder, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the reference implementation needs torch")
    import transformers

    save_model(model, tmp_path)
    reference, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, attn_implementation="eager", output_loading_info=True
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokens = np.random.default_rng(3).integers(0, 32, (2, 9))
    with torch.no_grad():
        expected = reference(torch.tensor(tokens)).logits.numpy()
    np.testing.assert_allclose(model(tokens.astype(np.int32)), expected, atol=1e-4)


def test_a_linear_layer_is_written_as_outputs_by_inputs() -> None:
    model = random_model(CONFIGS["qwen2"], seed=1)
    tensors = hugging_face_tensors(model)
    query = np.asarray(model.weights["layers"]["query"])
    for head, channel in ((0, 0), (2, 5)):
        np.testing.assert_array_equal(
            tensors["model.layers.1.self_attn.q_proj.weight"][head * 6 + channel], query[1, :, head, channel]
        )
    assert "lm_head.weight" not in tensors


def test_half_precision_is_written_as_float32(tmp_path: Path) -> None:
    model = random_model(CONFIGS["qwen2"], dtype=jnp.bfloat16)
    save_model(model, tmp_path)
    tensors = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(
        tensors["model.embed_tokens.weight"], np.asarray(model.weights["embedding"]).astype(np.float32)
    )


def test_the_tokenizer_goes_along_with_its_special_tokens(tmp_path: Path) -> None:
    save_model(random_model(CONFIGS["qwen2"]), tmp_path, arithmetic_tokenizer())
    assert load_tokenizer(tmp_path).encode("37+58=") == arithmetic_tokenizer().encode("37+58=")
    for name in ("config.json", "generation_config.json"):
        content = json.loads((tmp_path / name).read_text())
        assert (content["eos_token_id"], content["pad_token_id"]) == (1, 0)


def test_an_older_model_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(random_model(CONFIGS["llama"]), folder)
    (folder / "notes.txt").write_text("mine")
    newer = random_model(CONFIGS["qwen2"], seed=5)
    save_model(newer, folder)
    jax.tree.map(np.testing.assert_array_equal, load_model(folder).weights, newer.weights)
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(family="mistral", windows=(4, None, 4)), "describes"),
        (dict(family="llama", qkv_bias=True), "describes"),
        (dict(family="gemma"), "gemma"),
    ],
)
def test_what_config_json_cannot_say_is_refused_and_leaves_nothing(changes: dict, message: str, tmp_path: Path) -> None:
    model = random_model(dataclasses.replace(LLAMA, **changes))
    with pytest.raises(ValueError, match=message):
        save_model(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())
