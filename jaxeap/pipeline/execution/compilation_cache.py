"""Compiled programs kept on disk, so that the second run does not compile again what the first one did."""

from __future__ import annotations

import os
from pathlib import Path

import jax

AUTOMATIC = "auto"
SHORTEST_COMPILATION = 0.2
"""Seconds; what compiles faster is not worth a file."""
QUIET_ON_CPU = (0, 12)
"""Older versions report every program that they load on a CPU as an error (jax issue 38445)."""


def use_compilation_cache(setting: str) -> Path | None:
    """Tells JAX where to keep compiled programs; must be called before anything is compiled.

    Args:
      setting: a folder; "auto" for the one that JAX was already told of (JAX_COMPILATION_CACHE_DIR), else a folder of
        the user's ($XDG_CACHE_HOME or ~/.cache), but none where `QUIET_ON_CPU` speaks against it; "" for none.

    Returns:
      The folder in use.

    Raises:
      ValueError: a file stands where the folder should be.
    """
    folder = Path(setting) if setting else None
    if setting == AUTOMATIC:
        if told := jax.config.values["jax_compilation_cache_dir"]:
            return Path(told)
        if jax.default_backend() == "cpu" and jax.__version_info__ < QUIET_ON_CPU:
            return None
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxeap" / "compiled"
    jax.config.update("jax_compilation_cache_dir", None if folder is None else str(folder))
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"config.compilation_cache is {folder}, a file; give a folder, or '' for none")
        folder.mkdir(parents=True, exist_ok=True)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST_COMPILATION)
    return folder
