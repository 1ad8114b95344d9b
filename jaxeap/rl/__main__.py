"""Experiments of the RL lab, whole:

    python -m jaxeap.rl --config=configs/lab/rl_methods.py --workdir=workdirs/rl_methods [--config.seeds=2]

Trains what the experiment needs, contrasts it, and writes results.json, a table, figures and a page of findings (into
the work directory, or `--config.findings=docs/findings`). The same command goes on where an interrupted one stopped.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

# Read when transformers is imported, which otherwise advises to install PyTorch; its tokenizers need none.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

import rich.console
from absl import app, flags
from ml_collections import config_flags

from jaxeap.rl.experiments.execute import run_experiment

EXAMPLE = "python -m jaxeap.rl --config=configs/lab/rl_methods.py --workdir=workdirs/rl_methods"
FILE_WIDTH = 160
"""Columns of the table where the output goes to a file and not to a terminal."""
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Runs an experiment; returns the exit status."""
    config = config_flags.DEFINE_config_file("config", None, "Python file of the experiment.", lock_config=True)
    workdir = flags.DEFINE_string("workdir", None, "Folder for all results; is made where it is missing.")
    for noisy in ("jax", "absl"):  # which backends are not there, what Orbax does
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        app.define_help_flags()
        leftover = flags.FLAGS(list(arguments))
        if len(leftover) > 1:
            raise ValueError(f"unexpected argument {leftover[1]!r}; flags are written --name=value")
        if config.value is None or not workdir.value:
            raise ValueError(f"--config and --workdir must be given; for example:\n  {EXAMPLE}")
        console = rich.console.Console()
        run_experiment(config.value, workdir.value, console if console.is_terminal else _for_files())
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except (flags.Error, OSError, ValueError) as error:
        if not is_for_user(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def is_for_user(error: Exception) -> bool:
    """Whether the user can put it right: a flag, a file, or what this project's code refuses; else it is a bug."""
    if not isinstance(error, ValueError):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = Path(last.filename).resolve().is_relative_to(Path(__file__).resolve().parents[1])
    return own and (last.line or "").startswith("raise")


def _for_files() -> rich.console.Console:
    return rich.console.Console(width=FILE_WIDTH)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
