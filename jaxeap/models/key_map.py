"""Accounting: every tensor of a checkpoint is some parameter's, and every parameter has its tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import FAMILIES, TensorRule
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.safetensors_folder import StoredTensor, read_tensor


def account(config: ModelConfig, tensors: Mapping[str, StoredTensor], origin: str) -> dict[str, TensorRule]:
    """Matches parameters with a checkpoint's tensors.

    Args:
      config: the decoder's shape.
      tensors: what the checkpoint holds.
      origin: names the checkpoint in errors.

    Returns:
      Path of each parameter -> its rule.

    Raises:
      ValueError: with every missing, unmapped, doubly mapped and wrongly shaped tensor in one message.
    """
    family = FAMILIES[config.family]
    rules = {rule.parameter: rule for rule in family.tensors(config)}
    problems = []
    if differing := set(rules) ^ set(parameter_specs(config)):
        problems.append(f"the {config.family} key map and the decoder differ in {sorted(differing)}")
    wanted: Counter[str] = Counter()
    for rule in rules.values():
        for name in rule.tensor_names(config):
            wanted[name] += 1
            if name not in tensors:
                problems.append(f"missing: {name} (for {rule.parameter})")
            elif tensors[name].shape != rule.tensor_shape(config):
                problems.append(f"wrong shape: {name} is {tensors[name].shape}, needs {rule.tensor_shape(config)}")
    problems += [f"mapped twice: {name}" for name, count in wanted.items() if count > 1]
    ignored = [re.escape(name).replace(r"\{layer\}", r"\d+") for name in family.ignored_tensors]
    if config.tied_embeddings:
        ignored.append(re.escape("lm_head.weight"))  # transformers overwrites it with the embedding too
    problems += [
        f"unmapped: {name} {tensors[name].shape}"
        for name in sorted(set(tensors) - set(wanted))
        if not any(re.fullmatch(pattern, name) for pattern in ignored)
    ]
    if problems:
        raise ValueError(f"{origin}: {len(problems)} tensors do not fit its config.json:\n  " + "\n  ".join(problems))
    return rules


def read_parameter(
    rule: TensorRule, config: ModelConfig, tensors: Mapping[str, StoredTensor], dtype: Any = None
) -> np.ndarray:
    """One parameter, stacked over layers where it has them, read tensor by tensor.

    Args:
      rule: the parameter's rule.
      config: the decoder's shape.
      tensors: the checkpoint's tensors.
      dtype: of the result; None keeps the stored one.
    """
    names = rule.tensor_names(config)
    shape = parameter_specs(config)[rule.parameter].shape
    stacked: np.ndarray | None = None
    for index, name in enumerate(names):
        tensor = rule.to_parameter(read_tensor(name, tensors[name]), config)
        if stacked is None:
            stacked = np.empty(shape, tensor.dtype if dtype is None else dtype)
        (stacked[index] if "{layer}" in rule.name else stacked)[...] = tensor
    assert stacked is not None
    return stacked
