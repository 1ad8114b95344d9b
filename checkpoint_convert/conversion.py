"""The conversion: one stacked parameter in memory at a time, and a target that appears whole or not at all."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from jaxeap.models.families import TensorRule, read_model_config
from jaxeap.models.key_map import account, read_parameter, stored_dtype
from jaxeap.models.manifest import MANIFEST, PARAMETERS, ManifestEntry, parameter_folder, write_manifest
from jaxeap.models.parameters import parameter_dtype, parameter_specs
from jaxeap.models.safetensors_folder import list_tensors

COMPANIONS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
"""What stands beside the weights in a Hugging Face folder and is copied as it is."""

CHUNK_BYTES = 2**26
"""A device that holds a part of a parameter reads the chunks that this part touches, not the whole parameter."""


def convert(source: str | Path, target: str | Path, dtype: str | None = None) -> None:
    """Writes the checkpoint in `source` to the new folder `target`, from which `jaxeap.load_model` reads it.

    All is written to `target`.partial, which becomes `target` at the very end: a conversion that dies leaves nothing
    that loads, and the next one begins anew.

    Args:
      source: Hugging Face folder: config.json and safetensors, in one file or in shards with an index.
      target: a folder that does not exist yet.
      dtype: "float32", "bfloat16" or "float16" to store; None keeps each parameter's own.

    Raises:
      FileExistsError: `target` exists, or `target`.partial exists and no conversion made it.
      FileNotFoundError: `source` or a file of it is missing.
      ValueError: the configuration or the tensors are not what jaxeap knows; the message names each.
    """
    source, target = Path(source), Path(target)
    partial = target.with_name(target.name + ".partial")
    if target.exists():
        raise FileExistsError(f"target {target} exists already; remove it, or name another one")
    if not source.is_dir():
        raise FileNotFoundError(f"source folder {source} does not exist")
    if (source / MANIFEST).is_file():
        raise ValueError(f"source {source} is a converted checkpoint already ({MANIFEST} is there)")
    config = read_model_config(source)
    tensors = list_tensors(source)
    rules = account(config, tensors, str(source))
    dtypes = {
        name: stored_dtype(rule, config, tensors) if dtype is None else parameter_dtype(dtype)
        for name, rule in rules.items()
    }

    _clear(partial)
    (partial / PARAMETERS).mkdir(parents=True)
    for name in COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, partial / name)
    specs = parameter_specs(config)
    sizes = {name: int(np.prod(spec.shape)) * dtypes[name].itemsize for name, spec in specs.items()}
    with _progress() as progress, ocp.StandardCheckpointer() as checkpointer:
        task = progress.add_task(target.name, total=sum(sizes.values()))
        for name, rule in rules.items():
            progress.update(task, description=name)
            save_args = {"array": ocp.SaveArgs(chunk_byte_size=CHUNK_BYTES)}
            array = read_parameter(rule, config, tensors, dtypes[name])
            checkpointer.save(parameter_folder(partial, name).absolute(), {"array": array}, save_args=save_args)
            checkpointer.wait_until_finished()  # or the next parameter would be read while this one is still held
            del array
            progress.advance(task, sizes[name])
    write_manifest(partial, {name: _entry(specs[name].shape, dtypes[name], rule) for name, rule in rules.items()})
    partial.rename(target)


def _entry(shape: tuple[int, ...], dtype: Any, rule: TensorRule) -> ManifestEntry:
    return ManifestEntry(shape, str(dtype), rule.name)


def _clear(partial: Path) -> None:
    """Removes what an earlier conversion left half done, and nothing else."""
    if not partial.exists():
        return
    # `parameters` is the first thing that a conversion makes.
    if not (partial / PARAMETERS).is_dir() and any(partial.iterdir()):
        raise FileExistsError(f"{partial} exists and no conversion made it; remove it, or name another target")
    shutil.rmtree(partial)


def _progress() -> Progress:
    """A bar of bytes written, on a terminal alone."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
