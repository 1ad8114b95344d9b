"""Where a model of the pair lies: one folder, or a LoRA adapter's and that of the model that it was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import ml_collections

from jaxeap.models.hub import hub_name, snapshot
from jaxeap.models.lora import base_folder, is_adapter

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """One model.

    Attributes:
      folder: of the model, or of a LoRA adapter in PEFT's format.
      adapted: of the model that the adapter was trained on; None where `folder` is no adapter.
    """

    folder: Path
    adapted: Path | None = None

    @property
    def model_folder(self) -> Path:
        """Where the configuration and the unadapted weights are."""
        return self.folder if self.adapted is None else self.adapted

    @property
    def tokenizer_folder(self) -> Path:
        """An adapter's own, where it has a tokenizer: training may have changed it."""
        own = any((self.folder / name).is_file() for name in TOKENIZER_FILES)
        return self.folder if own else self.model_folder

    @property
    def generation_folder(self) -> Path:
        """Where it says which tokens end an answer."""
        return self.folder if (self.folder / "generation_config.json").is_file() else self.model_folder

    def __str__(self) -> str:
        return str(self.folder) if self.adapted is None else f"{self.folder} on {self.adapted}"


def with_local_models(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """A copy of the settings in which models on the Hub have become folders of this machine; fetches them.

    Asked once a run: a branch of the Hub may move on, and all stages must read one state of it.

    Raises:
      FileNotFoundError: a model cannot be fetched; the message says what to do.
    """
    local = config.copy_and_resolve_references()
    for key in ("base", "tuned", "adapter_base"):
        if named := hub_name(config[key] or ""):
            local[key] = str(snapshot(*named))
    return local


def pair_sources(
    base: str | Path, tuned: str | Path, adapter_base: str | Path | None = None
) -> tuple[ModelSource, ModelSource]:
    """The two models of a pair, each of which may be an adapter.

    An adapter is of `adapter_base`; where that is None, of the folder that the adapter names; and where that is no
    folder here (most name a Hub id), a tuned adapter is of the base, or of what the base is an adapter of.

    Raises:
      FileNotFoundError: an adapter's model is in none of these places.
      ValueError: `adapter_base` is given, and neither of the two is an adapter.
    """
    if adapter_base is not None and not (is_adapter(Path(base)) or is_adapter(Path(tuned))):
        raise ValueError(
            f"config.adapter_base={str(adapter_base)!r} is given, but neither {base} nor {tuned} is an adapter "
            "(adapter_config.json is not there)"
        )
    first = _source(Path(base), adapter_base, None)
    return first, _source(Path(tuned), adapter_base, first.model_folder)


def _source(folder: Path, adapter_base: str | Path | None, otherwise: Path | None) -> ModelSource:
    if not is_adapter(folder):
        return ModelSource(folder)
    try:
        return ModelSource(folder, base_folder(folder, adapter_base))
    except FileNotFoundError:
        if adapter_base is not None or otherwise is None:
            raise
        return ModelSource(folder, otherwise)
