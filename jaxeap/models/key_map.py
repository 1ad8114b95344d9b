"""Accounting: every tensor of a checkpoint is some parameter's, and every parameter has its tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import FAMILIES, TensorRule
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.safetensors_folder import NUMPY_DTYPES, StoredTensor, same_values
from jaxeap.models.tensor_blocks import read_index


def account(config: ModelConfig, tensors: Mapping[str, StoredTensor], origin: str) -> dict[str, TensorRule]:
    """Matches parameters with a checkpoint's tensors.

    Args:
      config: the decoder's shape.
      tensors: what the checkpoint holds.
      origin: names the checkpoint in errors.

    Returns:
      Path of each parameter -> its rule.

    Raises:
      ValueError: with every missing, unmapped, doubly mapped, wrongly shaped and wrongly typed tensor in one message.
    """
    family = FAMILIES[config.family]
    listed = list(family.tensors(config))
    rules = {rule.parameter: rule for rule in listed}
    filled = Counter(rule.parameter for rule in listed)
    problems = [f"filled twice: {parameter}" for parameter, count in filled.items() if count > 1]
    if differing := set(rules) ^ set(parameter_specs(config)):
        problems.append(f"the {config.family} key map and the decoder differ in {sorted(differing)}")
    wanted: Counter[str] = Counter()
    fused: dict[str, list[tuple[int, int, int]]] = {}
    for rule in rules.values():
        if rule.part is not None:
            fused.setdefault(rule.name, []).append(rule.part)
        for name in rule.tensor_names(config):
            wanted[name] += rule.part is None or rule.part[0] == 0
            if name not in tensors:
                problems.append(f"missing: {name} (for {rule.parameter})")
            elif tensors[name].shape != rule.tensor_shape(config):
                problems.append(f"wrong shape: {name} is {tensors[name].shape}, needs {rule.tensor_shape(config)}")
            elif tensors[name].dtype not in NUMPY_DTYPES:
                problems.append(
                    f"wrong dtype: {name} is {tensors[name].dtype}, must be one of {', '.join(NUMPY_DTYPES)}; "
                    "quantised weights must be dequantised first"
                )
    for name, parts in fused.items():
        starts, stops, sizes = zip(*sorted(parts), strict=True)
        if (0, *stops) != (*starts, sizes[0]) or len(set(sizes)) > 1:
            problems.append(f"the {config.family} key map does not cut {name} into parts that fill it: {parts}")
    problems += [f"mapped twice: {name}" for name, count in wanted.items() if count > 1]
    ignored = [re.escape(name).replace(r"\{layer\}", r"\d+") for name in family.ignored_tensors]
    if config.tied_embeddings:
        # Older files store the shared matrix twice. Where the two differ, transformers believes them and not the
        # configuration, so that is no model to load as tied.
        unembedding, embedding = tensors.get("lm_head.weight"), tensors.get(rules["embedding"].name)
        ignored.append(re.escape("lm_head.weight"))
        if unembedding and embedding and not same_values(unembedding, embedding):
            problems.append(
                f"contradiction: {unembedding.name} differs from {embedding.name} although tie_word_embeddings is "
                "true; set it to false in config.json"
            )
    problems += [
        f"unmapped: {name} {tensors[name].shape}"
        for name in sorted(set(tensors) - set(wanted))
        if not any(re.fullmatch(pattern, name) for pattern in ignored)
    ]
    if problems:
        raise ValueError(f"{origin}: {len(problems)} tensors do not fit its config.json:\n  " + "\n  ".join(problems))
    return rules


def read_parameter(
    rule: TensorRule,
    config: ModelConfig,
    tensors: Mapping[str, StoredTensor],
    dtype: Any = None,
    index: Sequence[slice] | None = None,
) -> np.ndarray:
    """One parameter or a part of it, stacked over layers where it has them, read tensor by tensor.

    Args:
      rule: the parameter's rule.
      config: the decoder's shape.
      tensors: the checkpoint's tensors.
      dtype: of the result; None keeps the stored one.
      index: a slice for each axis of the parameter; None reads all of it.

    Raises:
      ValueError: the stored one is to be kept and differs between layers.
    """
    shape = parameter_specs(config)[rule.parameter].shape
    index = tuple(slice(0, size) for size in shape) if index is None else index
    dtype = stored_dtype(rule, config, tensors) if dtype is None else np.dtype(dtype)
    return read_index(rule, config, tensors, shape, index, dtype)


def stored_dtype(rule: TensorRule, config: ModelConfig, tensors: Mapping[str, StoredTensor]) -> np.dtype:
    """The one dtype in which all of a parameter's tensors are stored.

    Raises:
      ValueError: they are stored in several.
    """
    first, *others = {tensors[name].dtype: name for name in rule.tensor_names(config)}.items()
    if others:
        listed = ", ".join(f"{name} is {dtype}" for dtype, name in (first, *others))
        raise ValueError(f"{rule.parameter} is stored in several dtypes ({listed}); name the dtype that you want")
    return np.dtype(NUMPY_DTYPES[first[0]])
