"""Whole runs of `run.py` in processes of their own that are killed at random moments and go on from there.

    python -m tests.pipeline.survival.killing --kills=30 --folder=DIR        (about half a minute a kill)

The results of each must be, byte for byte, those of a run that nobody killed. Prints one line a kill and a summary by
the stage that was killed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import ml_collections
import numpy as np

from jaxeap.pipeline.stage import read_manifest
from jaxeap.pipeline.stages import STAGES
from tests.pipeline.conftest import cheap, small_config

REPOSITORY = Path(__file__).resolve().parents[3]
DEMO = (
    "--config=" + str(REPOSITORY / "configs" / "tiny_grpo.py"),
    "--config.num_questions=60",
    "--config.sampling.batch_size=16",
    "--config.attribution.batch_size=8",
    "--config.report.figures=False",
)
"""The demo with few questions, in many parts, without the figures, which take a third of the time; with the page."""
SMALL = """
from pathlib import Path
from tests.pipeline.survival.killing import parted_config

def get_config():
    return parted_config(Path({folder!r}))
"""
"""A config file for `parted_config` on the pair in a folder."""
START = "start"
BETWEEN = "between stages"
END = "end"
_SECONDS = re.compile(rb"<td>(?:[0-9.]+ s|\d+ min \d+ s)</td>")


def parted_config(pair_folder: Path) -> ml_collections.ConfigDict:
    """A run in small that leaves every kind of part on its way, and draws nothing."""
    config = cheap(small_config(pair_folder))
    config.controls.cross_text = True
    config.audit.edges, config.audit.examples = 5, 4
    config.controls.divergence_questions = 7
    return config


def start(workdir: Path, arguments: Sequence[str] = DEMO, output: Path | None = None) -> subprocess.Popen[bytes]:
    """Starts a run as the leader of a process group of its own."""
    said = subprocess.DEVNULL if output is None else output.open("wb")
    command = [sys.executable, str(REPOSITORY / "run.py"), *arguments, f"--workdir={workdir}"]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=said, stderr=subprocess.STDOUT, start_new_session=True)


def kill(run: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the run and every process that it started; what has ended already is left alone."""
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def finish(workdir: Path, arguments: Sequence[str] = DEMO) -> float:
    """Runs to the end; returns the seconds that it took.

    Raises:
      AssertionError: the run failed; what it said is in the message.
    """
    began = time.monotonic()
    said = workdir.with_name(f"{workdir.name}.log")
    status = start(workdir, arguments, said).wait()
    assert status == 0, said.read_text()[-4000:]
    return time.monotonic() - began


def results(workdir: Path) -> dict[str, bytes]:
    """Content by path of all that a run leaves, the times that it names taken out.

    Those stand in stage.json and on the page, and for the page's sake its hash is taken out of the manifests.
    """
    visible = (path for path in sorted(workdir.rglob("*")) if path.is_file() and not _apart(path.relative_to(workdir)))
    return {str(path.relative_to(workdir)): _timeless(path) for path in visible}


def _apart(path: Path) -> bool:
    """Whether a path in a work directory is a hidden file or was put aside."""
    return any(part.startswith(".") or part == "superseded" for part in path.parts)


def _timeless(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".html":
        return _SECONDS.sub(b"", content)
    if path.name not in ("stage.json", "manifest.json"):
        return content
    manifest = json.loads(content)
    manifest.pop("seconds", None)
    for files in (manifest.get("files", {}), *(stage["files"] for stage in manifest.get("stages", {}).values())):
        files.pop("report.html", None)
    return json.dumps(manifest).encode()


def reached(workdir: Path) -> str:
    """Where the run in the work directory was killed: the name of a stage, or before, between or after them."""
    manifests = {stage.name: read_manifest(workdir / stage.name) for stage in STAGES}
    for name, manifest in manifests.items():
        if manifest is not None and not manifest.complete:
            return name
    done = [manifest is not None for manifest in manifests.values()]
    return END if all(done) else BETWEEN if any(done) else START


def temporary_files(workdir: Path) -> list[Path]:
    """What no run may leave behind that ends by itself."""
    return [path for path in workdir.rglob(".*") if path.suffix in (".tmp", ".partial")]


def fractions(number: int, seed: int) -> list[float]:
    """Of a run's duration: one random moment in each of `number` equal parts of it, in random order."""
    generator = np.random.default_rng(seed)
    return list(generator.permutation((np.arange(number) + generator.random(number)) / number))


@dataclasses.dataclass(frozen=True)
class Killed:
    """A run that was killed, after how many seconds and in which stage each time, and whether it ended right."""

    seconds: tuple[float, ...]
    stages: tuple[str, ...]
    identical: bool


def kill_and_resume(
    folder: Path, when: Sequence[float], duration: float, whole: dict[str, bytes], arguments: Sequence[str] = DEMO
) -> Killed:
    """One run, killed as often as there are moments, each counted from its start, and then left to end.

    Args:
      folder: for the work directory, which is made anew.
      when: fractions of the duration; where a run has ended by then, for the machine was less busy, it is begun anew.
      duration: seconds that a whole run takes.
      whole: results of a run that nobody killed.
      arguments: of both.
    """
    shutil.rmtree(folder, ignore_errors=True)
    seconds, stages = [], []
    for fraction in when:
        began, run = time.monotonic(), start(folder, arguments)
        try:
            run.wait(fraction * duration)
            return kill_and_resume(folder, when, time.monotonic() - began, whole, arguments)
        except subprocess.TimeoutExpired:
            kill(run)
        seconds.append(time.monotonic() - began)
        stages.append(reached(folder))
    finish(folder, arguments)
    return Killed(tuple(seconds), tuple(stages), results(folder) == whole and not temporary_files(folder))


def main(arguments: Sequence[str] | None = None) -> int:
    """Kills and compares; returns 1 where a run came to another end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--twice", type=int, default=3, help="further runs that are killed twice in a row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="for the work directories; must be new")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True)
    finish(options.folder / "first")  # compiles
    duration = finish(options.folder / "whole")
    whole = results(options.folder / "whole")
    assert results(options.folder / "first") == whole, "two runs that nobody killed differ"
    print(f"a run that nobody kills takes {duration:.1f} s and leaves {len(whole)} files", flush=True)
    generator = np.random.default_rng([options.seed, 1])
    plans = [[fraction] for fraction in fractions(options.kills, options.seed)]
    # What is left after the first time takes less.
    plans += [[first, 0.6 * second] for first, second in 0.3 + 0.6 * generator.random((options.twice, 2))]
    found = []
    for number, when in enumerate(plans, start=1):
        found.append(kill_and_resume(options.folder / f"killed_{number:02d}", when, duration, whole))
        each = zip(found[-1].seconds, found[-1].stages, strict=True)
        times = " and ".join(f"{seconds:.1f} s ({stage})" for seconds, stage in each)
        print(f"{number:3d}. killed after {times}: {'identical' if found[-1].identical else 'DIFFERENT'}", flush=True)
        if found[-1].identical:
            shutil.rmtree(options.folder / f"killed_{number:02d}")
    right = sum(killed.identical for killed in found)
    print(f"{right} of {len(found)} runs ended with the bytes of the one that nobody killed; kills by stage:")
    by_stage = Counter(stage for killed in found for stage in killed.stages)
    for stage in (START, *(stage.name for stage in STAGES), BETWEEN, END):
        if by_stage[stage]:
            print(f"  {stage}: {by_stage[stage]}")
    return 0 if right == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
