"""The check of a converted checkpoint against its source: every entry of every tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from checkpoint_convert.array_store import open_array
from checkpoint_convert.plan import Plan
from checkpoint_convert.progress import bytes_progress
from jaxeap.models.key_map import read_parameter
from jaxeap.models.manifest import parameter_folder
from jaxeap.models.safetensors_folder import read_slices
from jaxeap.models.tensor_blocks import block_indices, to_rows


def verify(plan: Plan, folder: Path) -> None:
    """Reads all parameters back and compares their bits with the source's tensors, in the tensors' own layout.

    Raises:
      FileNotFoundError: a parameter is missing.
      ValueError: with every tensor that differs, and every parameter of another shape or dtype.
    """
    problems = []
    with bytes_progress("verifying", plan.num_bytes) as advance:
        for name, parameter in plan.parameters.items():
            store = open_array(parameter_folder(folder, name))
            if store.shape != parameter.shape or store.dtype.numpy_dtype != parameter.dtype:
                problems.append(
                    f"{name} is stored as {store.shape} {store.dtype.name}, "
                    f"should be {parameter.shape} {parameter.dtype}"
                )
                continue
            names, row, reached = parameter.rule.tensor_names(plan.config), 0, -1
            for place, index in block_indices(parameter.rule, parameter.shape, parameter.block):
                row = row if place == reached else 0
                reached = place
                tensor = plan.tensors[names[place]]
                block = np.asarray(store[index].read().result())
                if parameter.rule.part is not None:
                    again = read_parameter(parameter.rule, plan.config, plan.tensors, parameter.dtype, index)
                    if not np.array_equal(_bits(block), _bits(again)):
                        problems.append(f"{name} differs from its part of {tensor.name}")
                    advance(name, block.nbytes)
                    continue
                found = to_rows(parameter.rule, block)
                rows = (slice(row, row + len(found)), *(slice(0, size) for size in tensor.shape[1:]))
                wanted = read_slices(tensor, rows).astype(parameter.dtype, copy=False)
                if not np.array_equal(_bits(found), _bits(wanted)):
                    problems.append(f"{name} differs from {tensor.name}, rows {rows[0].start} to {rows[0].stop}")
                row += len(found)
                advance(name, block.nbytes)
    if problems:
        raise ValueError(
            f"{folder} is not what {plan.sources[-1]} converts to: "
            + "; ".join(problems)
            + "; remove it and convert again"
        )


def _bits(array: np.ndarray) -> np.ndarray:
    """As integers, so that NaN equals NaN and -0 is not 0."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
