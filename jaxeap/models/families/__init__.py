"""The families of models that the decoder can be, by Hugging Face `model_type`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family, TensorRule
from jaxeap.models.families.gemma2 import GEMMA2
from jaxeap.models.families.gemma3 import GEMMA3_TEXT
from jaxeap.models.families.gpt2 import GPT2
from jaxeap.models.families.gpt_neox import GPT_NEOX
from jaxeap.models.families.llama import LLAMA
from jaxeap.models.families.mistral import MISTRAL
from jaxeap.models.families.mixtral import MIXTRAL
from jaxeap.models.families.olmo2 import OLMO2
from jaxeap.models.families.phi3 import PHI3
from jaxeap.models.families.qwen2 import QWEN2
from jaxeap.models.families.qwen3 import QWEN3
from jaxeap.models.families.qwen3_moe import QWEN3_MOE
from jaxeap.models.families.smollm3 import SMOLLM3

__all__ = ["FAMILIES", "Family", "TensorRule", "model_config_of", "read_model_config"]

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.model_type: family
        for family in (
            GEMMA2,
            GEMMA3_TEXT,
            GPT2,
            GPT_NEOX,
            LLAMA,
            MISTRAL,
            MIXTRAL,
            OLMO2,
            PHI3,
            QWEN2,
            QWEN3,
            QWEN3_MOE,
            SMOLLM3,
        )
    }
)


def read_model_config(folder: str | Path) -> ModelConfig:
    """Reads the decoder's shape from `folder`/config.json.

    Raises:
      FileNotFoundError: there is no config.json.
      ValueError: it is not JSON, its model_type is not a known family, or it holds an unknown or unsupported attribute.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; a model folder needs the config.json that Hugging Face writes")
    try:
        attributes = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(attributes, dict):
        raise ValueError(f"{path} must hold a JSON object, as Hugging Face writes it, and holds {attributes!r}")
    return model_config_of(attributes, str(path))


def model_config_of(attributes: Mapping[str, Any], origin: str) -> ModelConfig:
    """The decoder's shape from what a config.json holds; `origin` names it in errors, which are those of reading it."""
    reader = ConfigReader(attributes, origin)
    model_type = reader.require("model_type")
    if model_type not in FAMILIES:
        raise reader.unsupported("model_type", model_type, f"supported: {', '.join(sorted(FAMILIES))}")
    family = FAMILIES[model_type]
    config = family.read_config(reader)
    reader.finish(family.ignored)
    return config
