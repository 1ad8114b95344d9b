"""The conversion: one block of one tensor in memory at a time, and a target that appears whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from checkpoint_convert.array_store import create_array
from checkpoint_convert.companions import copy_companions
from checkpoint_convert.plan import plan_conversion
from checkpoint_convert.progress import bytes_progress
from checkpoint_convert.verification import verify
from jaxeap.models.key_map import read_parameter
from jaxeap.models.manifest import PARAMETERS, parameter_folder, write_manifest
from jaxeap.models.tensor_blocks import block_indices

FINGERPRINT = "conversion.fingerprint"
"""In an unfinished target: of what its parameters were converted from."""

UNFINISHED = ".unfinished"
"""Ends the name of a parameter's folder until it is whole."""


def convert(
    source: str | Path,
    target: str | Path,
    dtype: str | None = None,
    verified: bool = False,
    base: str | Path | None = None,
) -> None:
    """Writes the checkpoint in `source` to the new folder `target`, from which `jaxeap.load_model` reads it.

    All is written to `target`.partial, which becomes `target` at the very end: a conversion that dies leaves nothing
    that loads. The next one keeps the parameters that were whole if source and dtype are still the same, and begins
    anew otherwise.

    Args:
      source: Hugging Face folder: config.json and safetensors, in one file or in shards with an index. Or the folder of
        a LoRA adapter in PEFT's format, which is merged into its base.
      target: a folder that does not exist yet.
      dtype: "float32", "bfloat16" or "float16" to store; None keeps each parameter's own.
      verified: whether to read everything back and compare it with the source before `target` appears.
      base: Hugging Face folder of an adapter's base model; None takes the folder that the adapter names.

    Raises:
      FileExistsError: `target` exists, or `target`.partial exists and no conversion made it.
      FileNotFoundError: `source` or a file of it is missing.
      ValueError: the configuration or the tensors are not what jaxeap knows, or what was written does not read back
        as it should; the message names each.
    """
    target = Path(target)
    partial = target.with_name(target.name + ".partial")
    if target.exists():
        raise FileExistsError(f"target {target} exists already; remove it, or name another one")
    plan = plan_conversion(source, dtype, base)
    _prepare(partial, plan.fingerprint())
    for folder in plan.sources:
        copy_companions(folder, partial)
    with bytes_progress(target.name, plan.num_bytes) as advance:
        for name, parameter in plan.parameters.items():
            place = parameter_folder(partial, name)
            if place.is_dir():
                advance(name, parameter.num_bytes)
                continue
            unfinished = place.with_name(place.name + UNFINISHED)
            store = create_array(unfinished, parameter.shape, parameter.dtype, parameter.block)
            for _, index in block_indices(parameter.rule, parameter.shape, parameter.block):
                block = read_parameter(parameter.rule, plan.config, plan.tensors, parameter.dtype, index)
                store[index].write(block).result()
                advance(name, block.nbytes)
                del block  # or the next one would be read while this one is still held
            unfinished.rename(place)
    if verified:
        verify(plan, partial)
    write_manifest(partial, plan.entries())
    (partial / FINGERPRINT).unlink()
    partial.rename(target)


def _prepare(partial: Path, fingerprint: str) -> None:
    """Keeps what an earlier conversion of the same source left, removes what another one left, and nothing else."""
    if partial.exists():
        # `parameters` is the first thing that a conversion makes.
        if not (partial / PARAMETERS).is_dir() and any(partial.iterdir()):
            raise FileExistsError(f"{partial} exists and no conversion made it; remove it, or name another target")
        noted = partial / FINGERPRINT
        if noted.is_file() and noted.read_text() == fingerprint:
            for leftover in (partial / PARAMETERS).glob(f"*{UNFINISHED}*"):  # Orbax appends to the name for a while
                shutil.rmtree(leftover)
            return
        shutil.rmtree(partial)
    (partial / PARAMETERS).mkdir(parents=True)
    (partial / FINGERPRINT).write_text(fingerprint)
