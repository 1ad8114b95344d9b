"""LoRA adapters in PEFT's format, merged into their base model's tensors as these are read.

An adapted weight is W + s B A with A [r, inputs], B [outputs, r] and s = alpha / r (arXiv 2106.09685, section 4.1), or
s = alpha / sqrt(r) with `use_rslora` (arXiv 2312.03732, equation 2). Embeddings and GPT-2's layers lie as
[inputs, outputs], and get the transpose.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxeap.models.safetensors_folder import LowRankUpdate, StoredTensor, list_file

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_FILE = "adapter_model.safetensors"

HANDLED = frozenset(
    {"alpha_pattern", "base_model_name_or_path", "bias", "fan_in_fan_out", "init_lora_weights", "lora_alpha",
     "modules_to_save", "peft_type", "r", "rank_pattern", "target_modules", "use_dora", "use_rslora"}
)  # fmt: skip
NEUTRAL = frozenset(
    {"auto_mapping", "corda_config", "eva_config", "exclude_modules", "inference_mode", "layers_pattern",
     "layers_to_transform", "loftq_config", "lora_dropout", "megatron_core", "peft_version", "qalora_group_size",
     "revision", "runtime_config", "task_type"}
)  # fmt: skip
"""Attributes of a LoraConfig that say nothing about the merged weights beyond what the file of tensors says."""

_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?")
MERGE = "merge it with peft (model.merge_and_unload().save_pretrained(folder)) and load that folder"


def is_adapter(folder: Path) -> bool:
    """Whether `folder` holds a PEFT adapter.

    Raises:
      ValueError: it holds a model of its own as well, so that it is open which of the two is meant.
    """
    if not (folder / ADAPTER_CONFIG).is_file():
        return False
    if (folder / "config.json").is_file() and list(folder.glob("model*.safetensors*")):
        raise ValueError(
            f"{folder} holds a model and, in {ADAPTER_CONFIG}, an adapter; move the one that you do not mean elsewhere"
        )
    return True


def base_folder(adapter: Path, base: str | Path | None) -> Path:
    """Folder of the model that an adapter was trained on: `base`, or what its configuration names.

    Raises:
      FileNotFoundError: neither is a folder here.
    """
    if base is not None:
        if not Path(base).is_dir():
            raise FileNotFoundError(f"base model folder {base} does not exist")
        return Path(base)
    named = _read_config(adapter).get("base_model_name_or_path")
    if named and Path(named).is_dir():
        return Path(named)
    raise FileNotFoundError(
        f"{adapter} is a LoRA adapter without its base model: {ADAPTER_CONFIG} names {named!r}, which is no folder "
        f"here. Give the base model's Hugging Face folder as base (--base of checkpoint_convert)"
    )


def adapted(tensors: Mapping[str, StoredTensor], adapter: Path, tied_embeddings: bool) -> dict[str, StoredTensor]:
    """The base model's tensors, those that the adapter changes with their update.

    Args:
      tensors: of the base model.
      adapter: folder of adapter_config.json and adapter_model.safetensors.
      tied_embeddings: whether the unembedding is the embedding's transpose.

    Raises:
      FileNotFoundError: the adapter's tensors are not there.
      ValueError: the adapter is of a kind that is not handled, or does not fit the base; with every finding.
    """
    config = _read_config(adapter)
    _refuse_other_kinds(adapter / ADAPTER_CONFIG, config)
    file = adapter / ADAPTER_FILE
    if not file.is_file():
        remedy = ""
        if (adapter / "adapter_model.bin").is_file():
            remedy = "; adapter_model.bin is a pickle, which jaxeap does not open: save the adapter again with peft"
        raise FileNotFoundError(f"{adapter} has no {ADAPTER_FILE}{remedy}")
    sides: dict[str, dict[str, StoredTensor]] = {}
    problems = []
    embedded = set()
    for name, stored in list_file(file).items():
        match = _TENSOR.fullmatch(name)
        if match is None:
            problems.append(f"{name} is no tensor of a LoRA adapter ({MERGE})")
            continue
        sides.setdefault(match["module"], {})[match["side"]] = stored
        if match["embedding"]:
            embedded.add(match["module"])
    result = dict(tensors)
    for module, pair in sides.items():
        name = f"{module}.weight"
        if name not in tensors:
            problems.append(f"{module} is adapted, and the base model has no {name}")
        elif set(pair) != {"A", "B"}:
            problems.append(f"{module} has only side {''.join(pair)} of its update")
        elif tied_embeddings and ("embed" in module or module == "lm_head"):
            problems.append(
                f"{module} is adapted, and is tied: an update of embedding or unembedding alone unties them"
            )
        else:
            transposed = module in embedded or bool(config.get("fan_in_fan_out"))
            try:
                update = _update(module, pair["A"], pair["B"], transposed, tensors[name], config)
            except ValueError as error:
                problems.append(str(error))
            else:
                result[name] = dataclasses.replace(tensors[name], update=update)
    problems += _untouched(config.get("target_modules"), sides)
    if problems:
        raise ValueError(f"{file}: {len(problems)} findings:\n  " + "\n  ".join(problems))
    return result


def _update(
    module: str, a: StoredTensor, b: StoredTensor, transposed: bool, base: StoredTensor, config: Mapping[str, Any]
) -> LowRankUpdate:
    rank = _by_pattern(module, config.get("rank_pattern"), config["r"])
    alpha = _by_pattern(module, config.get("alpha_pattern"), config["lora_alpha"])
    outputs, inputs = reversed(base.shape) if transposed else base.shape
    if (a.shape, b.shape) != ((rank, inputs), (outputs, rank)):
        raise ValueError(
            f"{module}: A is {a.shape} and B {b.shape}; rank {rank} on {base.name} {base.shape} needs "
            f"{(rank, inputs)} and {(outputs, rank)}"
        )
    scale = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    return LowRankUpdate(a, b, scale, transposed)


def _by_pattern(module: str, patterns: Mapping[str, Any] | None, default: Any) -> Any:
    """As peft does: the first pattern that matches the end of the module's name."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _untouched(targets: Any, modules: Mapping[str, Any]) -> list[str]:
    """Findings about modules that were to be adapted and have no tensors: half a file would look just so."""
    if isinstance(targets, str):  # "all-linear", or one expression for all names
        return [] if modules else [f"target_modules is {targets!r} and no module has an update"]
    return [
        f"target_modules names {target}, and no module of that name has an update"
        for target in sorted(targets or ())
        if not any(module == target or module.endswith(f".{target}") for module in modules)
    ]


def _read_config(adapter: Path) -> dict[str, Any]:
    path = adapter / ADAPTER_CONFIG
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} must hold a JSON object, as peft writes it, and holds {config!r}")
    return config


def _refuse_other_kinds(path: Path, config: Mapping[str, Any]) -> None:
    problems = []
    if config.get("peft_type") != "LORA":
        problems.append(f"peft_type={config.get('peft_type')!r} (handled: 'LORA')")
    if config.get("bias", "none") != "none":
        problems.append(f"bias={config['bias']!r} (handled: 'none')")
    for name in ("use_dora", "modules_to_save"):
        if config.get(name):
            problems.append(f"{name}={config[name]!r}")
    # The others (pissa, olora, corda, loftq) change the base's own weights before training.
    if config.get("init_lora_weights", True) not in (True, False, None, "gaussian", "eva", "orthogonal"):
        problems.append(f"init_lora_weights={config['init_lora_weights']!r}, which changes the base's weights")
    for name in ("r", "lora_alpha"):
        if not isinstance(config.get(name), int | float) or config[name] <= 0:
            problems.append(f"{name}={config.get(name)!r} (must be a positive number)")
    problems += [
        f"unknown attribute {name}={value!r}"
        for name, value in sorted(config.items())
        if value and name not in HANDLED | NEUTRAL
    ]
    if problems:
        raise ValueError(f"{path} is not handled: {'; '.join(problems)}; {MERGE}")
