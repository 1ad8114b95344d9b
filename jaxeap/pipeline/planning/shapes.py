"""The shape of a model that need not be here: from its folder, from the Hub, or from what is shipped of the paper's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import model_config_of, read_model_config
from jaxeap.models.hub import HUB, hub_name, snapshot
from jaxeap.models.lora import base_folder, is_adapter

PUBLISHED = Path(__file__).parent / "published_configs.json"


def planned_config(source: str, adapter_base: str | None = None) -> tuple[ModelConfig, str]:
    """The decoder's shape, and a remark on where it comes from ("" where that is the model's own folder).

    Args:
      source: a folder, which may hold nothing but config.json, or "hub:owner/name@revision".
      adapter_base: of a LoRA adapter, as the setting of this name.

    Raises:
      FileNotFoundError: the model is nowhere to be found; the message says what to do.
      ValueError: its configuration is not one that jaxeap knows.
    """
    if (named := hub_name(source)) is None:
        folder = Path(source)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"model folder {folder} does not exist or is no folder; give one with config.json, or {HUB}owner/name"
            )
        if not is_adapter(folder):
            return read_model_config(folder), ""
        if hub_name(adapter_base or "") is not None:
            return planned_config(adapter_base or "")
        return read_model_config(base_folder(folder, adapter_base)), ""
    name, revision = named
    if shipped := published_configs().get(name):
        return model_config_of(shipped, f"the shape of {name} in {PUBLISHED.name}"), f"{name}: shape as shipped"
    try:
        return read_model_config(snapshot(name, revision, ("config.json",))), f"{name}: config.json from the Hub"
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"a plan needs config.json of {name}; it could not be fetched, and the shapes that are shipped are those "
            f"of {', '.join(published_configs())}. Put config.json into a folder and name that ({error})"
        ) from error


def planned_pair(base: str, tuned: str, adapter_base: str | None = None) -> list[tuple[ModelConfig, str]]:
    """`planned_config` of both; an adapter whose model is not where it says is one of the base, as in a run."""
    first = planned_config(base, adapter_base)
    try:
        return [first, planned_config(tuned, adapter_base)]
    except FileNotFoundError:
        if hub_name(tuned) is not None or adapter_base is not None or not is_adapter(Path(tuned)):
            raise
        return [first, (first[0], "")]


def published_configs() -> dict[str, dict[str, Any]]:
    """Name on the Hub -> what of its published config.json decides over shapes."""
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))["models"]
