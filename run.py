"""The main job: what did RL fine-tuning change inside a language model?

    python run.py --config=configs/tiny_grpo.py --workdir=workdirs/tiny_grpo
    python run.py --config=configs/qwen_grpo.py --workdir=DIR --config.base=FOLDER --config.tuned=FOLDER \\
        --config.questions=FILE.jsonl --config.selection.alpha=0.3
    python run.py --config=configs/paper/deepseek_math.py --dry_run      what it would take; reads no weight
    python run.py --config=configs/grid/tiny.py --workdir=DIR            many cells, one table
    python run.py --compare WORKDIR WORKDIR ...      finished runs side by side

Both models answer questions; those that both answer correctly are selected; every edge of either model is scored on
its own answers; the two score distributions are contrasted. Every setting stands in jaxeap/pipeline/settings.py, and
`--config.KEY=none` unsets one that need not be set. What is finished in the work directory is reused, so the same
command goes on where an interrupted one stopped.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

# Read when transformers is imported, which otherwise advises to install PyTorch; its tokenizers need none.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

import ml_collections
import rich.console
from absl import app, flags
from ml_collections import config_flags

from jaxeap.parallel import hosts
from jaxeap.parallel.launch import ARRIVAL_SECONDS, SILENCE_SECONDS, Launch, cluster, joined
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.compare import compare_runs
from jaxeap.pipeline.execution.termination import Terminated, raising_on_sigterm
from jaxeap.pipeline.flag_errors import flag_error_words, require_config_file, require_known_flags
from jaxeap.pipeline.grid import is_grid, plan_grid, run_grid
from jaxeap.pipeline.planning import plan_run, print_plan, print_short_plan
from jaxeap.pipeline.settings import optional_keys, require_known_keys
from jaxeap.pipeline.storage.workdir import require_free
from jaxeap.pipeline.summary import print_summary

REPOSITORY = Path(__file__).resolve().parent
EXAMPLE = "python run.py --config=configs/tiny_grpo.py --workdir=workdirs/tiny_grpo"
INTERRUPTED, TERMINATED = 130, 143
UNSET = "none"
FILE_WIDTH = 120
"""Columns of the tables where the output goes to a file and not to a terminal."""

_CONFIG = config_flags.DEFINE_config_file("config", None, "Python file of the experiment.", lock_config=True)
_COMPARE = flags.DEFINE_bool("compare", False, "Set the finished work directories that are named side by side.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for all results; is made where it is missing.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", None, "Run as one of several hosts, see docs/pods.md; by default where a cluster is recognised."
)
_COORDINATOR = flags.DEFINE_string("coordinator_address", None, "HOST:PORT of the first of several hosts.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many hosts there are.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
_ARRIVAL = flags.DEFINE_integer("arrival_seconds", ARRIVAL_SECONDS, "So long all hosts may take to come.")
_SILENCE = flags.DEFINE_integer(
    "silence_seconds", SILENCE_SECONDS, "A host that shows no sign of life for so long is given up."
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print what the run would take of memory, disk and time, and end.")


def main(arguments: Sequence[str]) -> int:
    """Runs the pipeline and prints what it found; returns the exit status, 1 for what the user can put right."""
    try:
        if len(leftover := parse_flags(arguments)) > 1 and not _COMPARE.value:
            raise ValueError(f"unexpected argument {leftover[1]!r}; flags are written --name=value")
        config, workdir = _CONFIG.value, _WORKDIR.value
        console = rich.console.Console()
        if not console.is_terminal:
            console = rich.console.Console(width=FILE_WIDTH)
        if _COMPARE.value:
            compare_runs(leftover[1:], workdir, console)
            return 0
        if config is None or not (workdir or _DRY_RUN.value):
            raise ValueError(f"--config and --workdir must be given; for example:\n  {EXAMPLE}")
        for key in unset_keys(arguments):
            config.update_from_flattened_dict({key: None})
        with raising_on_sigterm(), joined(_launch()):
            if not hosts.is_first():
                console = rich.console.Console(quiet=True)
            run_or_plan(config, workdir or "", console)
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from here", INTERRUPTED)
    except Terminated:
        return _say("stopped by SIGTERM; the same command goes on from here", TERMINATED)
    except Exception as error:
        if (message := message_for_user(error)) is None:
            raise
        return _say(f"error: {message}", 1)
    return 0


def run_or_plan(config: ml_collections.ConfigDict, workdir: str, console: rich.console.Console) -> None:
    """One experiment or a grid of them; with --dry_run the plan alone.

    Raises:
      ValueError: the work directory is in use; the run cannot fit into the memory of the device; and as `run_pipeline`.
    """
    if is_grid(config):
        plans = plan_grid(config, console)
        if not _DRY_RUN.value:
            for plan in plans.values():
                plan.require()
            run_grid(config, workdir, console)
        return
    if not _DRY_RUN.value:
        require_free(workdir)
    plan = plan_run(config, measure=not _DRY_RUN.value)
    if _DRY_RUN.value:
        print_plan(plan, config, console)
        return
    print_short_plan(plan, console)
    plan.require()
    outcomes = run_pipeline(config, workdir, console)
    if hosts.is_first():
        print_summary(workdir, outcomes, console)


def _launch() -> Launch | None:
    """How this process finds the other hosts; None where it is alone.

    Raises:
      ValueError: the flags do not fit together.
    """
    launch = Launch(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value, _ARRIVAL.value, _SILENCE.value)
    wanted = launch.num_processes is not None or cluster() is not None
    return launch if (wanted if _DISTRIBUTED.value is None else _DISTRIBUTED.value) else None


def parse_flags(arguments: Sequence[str]) -> list[str]:
    """Parses the command line; returns what is not a flag.

    Raises:
      FileNotFoundError: there is no such config file.
      ValueError: there is no such flag; a setting is overridden that does not exist; both are found before the config
        file is run.
    """
    app.define_help_flags()
    for argument in arguments:
        name, _, value = argument.lstrip("-").partition("=")
        if name == "config" and "=" in argument:
            require_config_file(value)
    require_known_flags(arguments[1:], flags.FLAGS)
    flags.FLAGS.set_gnu_getopt(True)  # Flags may follow the folders of --compare.
    settings = [key for key, _ in _settings_in(arguments) if key.partition(".")[0] != "grid"]
    require_known_keys(settings, "--config")
    unset = {f"--config.{key}={UNSET}" for key in unset_keys(arguments)}
    return flags.FLAGS([argument for argument in arguments if argument not in unset])


def unset_keys(arguments: Sequence[str]) -> list[str]:
    """The settings that the command line makes None, which no flag of their type can.

    Raises:
      ValueError: a setting must have a value.
    """
    keys = [key for key, value in _settings_in(arguments) if value == UNSET]
    if needed := [key for key in keys if key not in optional_keys()]:
        optional = ", ".join(sorted(optional_keys()))
        raise ValueError(f"--config.{needed[0]}={UNSET}: it must have a value; {UNSET} is for {optional}")
    return keys


def _settings_in(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Key and value of every override."""
    pairs = [argument.lstrip("-").partition("=")[::2] for argument in arguments if argument.startswith("--")]
    return [(name.removeprefix("config."), value) for name, value in pairs if name.startswith("config.")]


def message_for_user(error: Exception) -> str | None:
    """What to say of an error that the user can put right; None for an unexpected one, which keeps its traceback.

    Errors for the user are those of flags and of the operating system, a setting that a config file names and that
    does not exist, and what this project's own code raises as ValueError. A ValueError out of another library, or out
    of a statement that raises nothing itself, is a bug.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, flags.Error):
        return flag_error_words(error)
    if isinstance(error, hosts.HostError):
        return str(error)
    if isinstance(error, OSError):
        if error.errno is None or error.filename is None:
            return str(error)
        return f"{error.filename}: {(error.strerror or str(error)).lower()}"
    if isinstance(error, ValueError) and _is_own(frames[-1]) and (frames[-1].line or "").startswith("raise"):
        return str(error)
    if isinstance(error, AttributeError | KeyError) and Path(ml_collections.__file__).parent in _parents(frames[-1]):
        if any(frame.name == "parse_flags" for frame in frames) and not any(f.name == "get_config" for f in frames):
            return f"an override names a key that the config has not: {str(error).splitlines()[0]}"
        place = next((frame for frame in reversed(frames) if frame.name == "get_config"), None)
        if place is not None and (named := re.search(r'mean "(.+)" instead of "(.+)"', str(error))):
            known, unknown = named.groups()
            return f"{place.filename}, line {place.lineno}: there is no setting {unknown!r}; did you mean {known!r}?"
    return None


def _is_own(frame: traceback.FrameSummary) -> bool:
    return REPOSITORY in _parents(frame) and ".venv" not in Path(frame.filename).parts


def _parents(frame: traceback.FrameSummary) -> Sequence[Path]:
    return Path(frame.filename).resolve().parents


def _say(message: str, status: int) -> int:
    rich.console.Console(stderr=True).print(message, style="bold", markup=False, highlight=False, soft_wrap=True)
    return status


if __name__ == "__main__":
    status = main(sys.argv)
    # XLA's threads may compute still, or wait for another host, and Python torn down under them crashes.
    if status in (INTERRUPTED, TERMINATED) or hosts.several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
