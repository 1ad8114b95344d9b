"""Adapters that peft itself trains away from nothing and saves, against peft's own merged model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxeap.models.load import load_model

peft = pytest.importorskip("peft", reason="peft is no requirement (it needs accelerate); test_lora.py works by hand")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SHAPE = {"vocab_size": 37, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "attention": ("Llama", {}, {"r": 3, "lora_alpha": 12, "target_modules": ["q_proj", "o_proj"]}),
    "all linear layers, stabilised": (
        "Qwen2",
        {"num_key_value_heads": 2},
        {"r": 4, "lora_alpha": 3, "target_modules": "all-linear", "use_rslora": True},
    ),
    "ranks and scales of their own": (
        "Qwen3",
        {"num_key_value_heads": 2},
        {
            "r": 2,
            "lora_alpha": 4,
            "target_modules": ["q_proj", "down_proj", "up_proj"],
            "rank_pattern": {"down_proj": 5},
            "alpha_pattern": {"layers.1.mlp.up_proj": 9},
        },
    ),
    "attention of a routed model": (
        "Mixtral",
        {"num_key_value_heads": 2, "num_local_experts": 4},
        {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"]},
    ),
    "transposed layers": ("GPT2", {}, {"r": 3, "lora_alpha": 6, "target_modules": ["c_attn"], "fan_in_fan_out": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_loaded_adapter_is_the_merged_model(case: str, tmp_path: Path):
    family, attributes, lora = CASES[case]
    shape = {"vocab_size": 37, "n_embd": 24, "n_layer": 2, "n_head": 4} if family == "GPT2" else SHAPE
    heads = {} if family == "GPT2" else {"num_attention_heads": 4}
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**shape, **heads, **attributes)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    model.save_pretrained(tmp_path / "base")
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **lora))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    adapted.save_pretrained(tmp_path / "adapter")
    tokens = np.random.default_rng(0).integers(0, 37, (2, 9))
    with torch.no_grad():
        before = adapted(input_ids=torch.tensor(tokens)).logits.numpy()
        merged = adapted.merge_and_unload()(torch.tensor(tokens)).logits.numpy()
    np.testing.assert_allclose(before, merged, rtol=0, atol=1e-4)
    found = np.asarray(load_model(tmp_path / "adapter", base=tmp_path / "base")(tokens.astype(np.int32)))
    np.testing.assert_allclose(found, merged, rtol=0, atol=1e-4)
    plain = np.asarray(load_model(tmp_path / "base")(tokens.astype(np.int32)))
    assert np.abs(plain - merged).max() > 1e-2
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["peft_type"] == "LORA"
