"""What a conversion will do, decided and checked in full before anything is written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxeap.models.checkpoint import open_checkpoint
from jaxeap.models.config import ModelConfig
from jaxeap.models.families import TensorRule
from jaxeap.models.key_map import account, stored_dtype
from jaxeap.models.manifest import MANIFEST, ManifestEntry
from jaxeap.models.parameters import parameter_dtype, parameter_specs
from jaxeap.models.safetensors_folder import StoredTensor
from jaxeap.models.tensor_blocks import block_shape

BLOCK_BYTES = 2**24
"""What is read, cast and written at once. Several copies of it are in memory, so this sets the conversion's peak; a
device that later holds a part of a parameter reads the blocks that this part touches, not the whole parameter."""


@dataclasses.dataclass(frozen=True)
class PlannedParameter:
    """One parameter of the conversion.

    Attributes:
      rule: where it comes from.
      shape: with the layer axis.
      dtype: that it will be stored in.
      block: shape of the blocks in which it is read and written.
    """

    rule: TensorRule
    shape: tuple[int, ...]
    dtype: np.dtype
    block: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Of the parameter, uncompressed."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class Plan:
    """A conversion: the source's folders (an adapter's after its base), configuration, tensors; path -> parameter."""

    sources: tuple[Path, ...]
    config: ModelConfig
    tensors: Mapping[str, StoredTensor]
    parameters: Mapping[str, PlannedParameter]

    @property
    def num_bytes(self) -> int:
        """Of all parameters, uncompressed."""
        return sum(parameter.num_bytes for parameter in self.parameters.values())

    def entries(self) -> dict[str, ManifestEntry]:
        """For the manifest."""
        return {
            name: ManifestEntry(parameter.shape, str(parameter.dtype), parameter.rule.name)
            for name, parameter in self.parameters.items()
        }

    def fingerprint(self) -> str:
        """Changes with everything that the target depends on; files are told apart by size and time of change."""
        updates = [stored.update for stored in self.tensors.values() if stored.update is not None]
        files = sorted(
            {
                *(self.sources[0] / "config.json", *(stored.file for stored in self.tensors.values())),
                *(side.file for update in updates for side in (update.a, update.b)),
            }
        )
        told = {
            "files": [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files],
            "parameters": [
                (name, parameter.shape, parameter.block, str(parameter.dtype), parameter.rule.name)
                for name, parameter in self.parameters.items()
            ],
            "scales": [update.scale for update in updates],
        }
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def describe(self) -> str:
        """A line for each parameter: path, shape, dtype, bytes and the tensors behind it; the sum at the end."""
        rows = [("parameter", "shape", "dtype", "bytes", "tensors")]
        for name, parameter in self.parameters.items():
            source = self.tensors[parameter.rule.tensor_names(self.config)[0]]
            count = len(parameter.rule.tensor_names(self.config))
            tensors = f"{parameter.rule.name} {source.shape} {source.dtype}" + (f" x {count}" if count > 1 else "")
            tensors += " with adapter" if source.update is not None else ""
            rows.append((name, str(parameter.shape), str(parameter.dtype), f"{parameter.num_bytes:,}", tensors))
        rows.append(
            (f"{len(self.parameters)} parameters", "", "", f"{self.num_bytes:,}", f"{len(self.tensors)} tensors stored")
        )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            cells[3] = row[3].rjust(widths[3])
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)


def plan_conversion(source: str | Path, dtype: str | None = None, base: str | Path | None = None) -> Plan:
    """Reads the configuration and the files' headers, and matches every tensor with its parameter.

    Args:
      source: Hugging Face folder, or a LoRA adapter's.
      dtype: to store; None keeps each parameter's own.
      base: Hugging Face folder of an adapter's base; None takes the folder that the adapter names.

    Raises:
      FileNotFoundError: `source` or a file of it is missing.
      ValueError: the configuration or the tensors are not what jaxeap knows; the message names each.
    """
    source = Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f"source folder {source} does not exist")
    if (source / MANIFEST).is_file():
        raise ValueError(f"source {source} is a converted checkpoint already ({MANIFEST} is there)")
    target_dtype = None if dtype is None else parameter_dtype(dtype)
    checkpoint = open_checkpoint(source, base)
    config, tensors = checkpoint.config, checkpoint.tensors
    rules = account(config, tensors, " with ".join(map(str, checkpoint.folders)))
    parameters = {}
    for name, spec in parameter_specs(config).items():
        rule = rules[name]
        held = stored_dtype(rule, config, tensors) if target_dtype is None else target_dtype
        block = block_shape(rule, spec.shape, held.itemsize, BLOCK_BYTES)
        parameters[name] = PlannedParameter(rule, spec.shape, held, block)
    return Plan(checkpoint.folders, config, tensors, parameters)
