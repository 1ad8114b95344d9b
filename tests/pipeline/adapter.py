"""A LoRA adapter for a model that `save_model` wrote, as peft writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

RANK = 2


def write_adapter(folder: Path, model: Path, names: str = "owner/model", seed: int = 0) -> Path:
    """Adapts the query projections of the model; `names` is what the adapter calls it."""
    rng, tensors = np.random.default_rng(seed), {}
    for name, tensor in load_file(model / "model.safetensors").items():
        if name.endswith("q_proj.weight"):
            module = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = rng.normal(size=(RANK, tensor.shape[1])).astype(np.float32)
            tensors[f"{module}.lora_B.weight"] = rng.normal(size=(tensor.shape[0], RANK)).astype(np.float32)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "base_model_name_or_path": names, "r": RANK, "lora_alpha": 4}
    (folder / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["q_proj"]}))
    return folder
