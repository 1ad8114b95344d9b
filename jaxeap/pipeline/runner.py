"""`run_pipeline`: walks the stages, leaves every stage's result in the work directory, and goes on where it stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import ml_collections
import rich.console

import jaxeap
from jaxeap.pipeline.artifacts import read_json, write_json
from jaxeap.pipeline.compilation_cache import use_compilation_cache
from jaxeap.pipeline.disk import room_wanted
from jaxeap.pipeline.environment import source_hash
from jaxeap.pipeline.fingerprint import KnownHashes, model_identity, questions_identity, run_identity
from jaxeap.pipeline.link import link_finished
from jaxeap.pipeline.model_source import with_local_models
from jaxeap.pipeline.pair import sources_of
from jaxeap.pipeline.provenance import RUN_MANIFEST, write_run_manifest
from jaxeap.pipeline.settings import flat, restricted
from jaxeap.pipeline.stage import (
    Manifest,
    Stage,
    StageRun,
    completed,
    damaged_files,
    expected_manifest,
    read_manifest,
    write_manifest,
)
from jaxeap.pipeline.stages import STAGES
from jaxeap.pipeline.validation import validate
from jaxeap.pipeline.workdir import open_workdir, supersede, swept

CONFIG = "config.json"
"""The settings of the latest run, for the reader."""
HASHES = ".file_hashes.json"
PUBLISHED = {
    "metrics.json": "contrast/metrics.json",
    "table.md": "report/table.md",
    "table.tex": "report/table.tex",
    "weights.md": "report/weights.md",
    "report.html": "report/report.html",
}
"""Results that are copied to where people look first, where they were made."""

Status = Literal["made", "continued", "repaired", "reused"]


@dataclasses.dataclass(frozen=True)
class StageOutcome:
    """What a run did with one stage, and the seconds that this run spent on it."""

    stage: str
    status: Status
    seconds: float


def run_pipeline(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike[str],
    console: rich.console.Console | None = None,
    siblings: Sequence[Path] = (),
) -> list[StageOutcome]:
    """Runs every stage whose result is not in the work directory yet.

    A stage's result is reused when all that it depends on is unchanged: its settings, the content of the files that
    they name, the stages before it. When something has changed, the results that no longer fit are moved to
    `superseded/N` and made again.

    Args:
      config: the settings, begun with `default_config()`.
      workdir: folder for all results; is made where it is missing.
      console: where messages and progress go; standard output where it is None.
      siblings: other work directories; what they have finished and this run would make alike is taken from there.

    Raises:
      FileNotFoundError: a model folder or file of questions is missing.
      ValueError: the config, a model, the questions or the work directory cannot be used; the message says how to
        put it right.
      DiskFullError: there is no room for a result. What is finished stays.
    """
    console = console or rich.console.Console()
    validate(config)
    asked, config = config, with_local_models(config)
    with room_wanted(Path(workdir)), open_workdir(workdir) as folder, swept(folder, [s.name for s in STAGES]):
        with console.status("identifying models and questions"):
            identities = _identities(config, folder, siblings)
        expected = _expected(config, identities)
        _supersede_outdated(folder, expected, console)
        for name in link_finished(expected, folder, siblings):
            console.print(f"{name}: taken from a run before", highlight=False)
        _write_config(folder / CONFIG, asked)
        use_compilation_cache(config.compilation_cache)
        code = source_hash(Path(jaxeap.__file__).parent)
        outcomes = [_walk(stage, expected[stage.name], config, folder, console, code) for stage in STAGES]
        _publish(folder)
        write_run_manifest(folder, {stage.name: folder / stage.name for stage in STAGES})
    return outcomes


def _identities(config: ml_collections.ConfigDict, workdir: Path, siblings: Sequence[Path]) -> dict[str, str]:
    known: KnownHashes = {}
    for folder in (*siblings, workdir):
        if (folder / HASHES).is_file():
            known |= read_json(folder / HASHES)
    try:
        models = {role: model_identity(s.folder, known, s.adapted) for role, s in sources_of(config).items()}
        found = models | {"questions": questions_identity(config.questions, known)}
        if config.controls.null_run:
            found["controls.null_run"] = run_identity(config.controls.null_run, known)
        return found
    finally:
        write_json(workdir / HASHES, known)


def _expected(config: ml_collections.ConfigDict, identities: Mapping[str, str]) -> dict[str, Manifest]:
    manifests: dict[str, Manifest] = {}
    for stage in STAGES:
        manifests[stage.name] = expected_manifest(stage, config, identities, manifests)
    return manifests


def _supersede_outdated(workdir: Path, expected: Mapping[str, Manifest], console: rich.console.Console) -> None:
    """Moves away the folders of stages that were made, or begun, with anything else than what is expected now."""
    outdated: list[str] = []
    reasons: dict[str, str] = {}
    for name, manifest in expected.items():
        if (workdir / name).is_dir():
            found = read_manifest(workdir / name)
            if found is None or found.fingerprint != manifest.fingerprint:
                outdated.append(name)
                reasons |= _differences(found, manifest)
    if outdated:
        # The copies at the top first: killed on the way, the next run still knows what stages are left to move.
        target = supersede(workdir, [CONFIG, RUN_MANIFEST, *PUBLISHED, *outdated])
        console.print(
            f"changed since the last run: {', '.join(reasons.values()) or 'earlier stages'}\n"
            f"running again: {', '.join(outdated)}; the results until now are kept in {target}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _differences(found: Manifest | None, expected: Manifest) -> dict[str, str]:
    """What changed, in words, by key."""
    if found is None:
        return {expected.stage: f"{expected.stage} has no readable manifest"}
    if found.version != expected.version:
        return {expected.stage: f"the code of {expected.stage}"}
    keys = [key for key in found.settings | expected.settings if found.settings.get(key) != expected.settings.get(key)]
    return {key: _difference(key, found.settings.get(key), expected.settings.get(key)) for key in keys}


def _difference(key: str, before: Any, after: Any) -> str:
    named_by_content = key in ("base", "tuned", "questions", "controls.null_run")
    return f"config.{key} (other content)" if named_by_content else f"config.{key} ({before!r} -> {after!r})"


def _walk(
    stage: Stage,
    expected: Manifest,
    config: ml_collections.ConfigDict,
    workdir: Path,
    console: rich.console.Console,
    code: str,
) -> StageOutcome:
    """Makes, completes or reuses one stage; `code` is the hash of the package's source."""
    folder = workdir / stage.name
    run = StageRun(
        config=restricted(config, (*stage.reads, *stage.tuning)),
        folder=folder,
        inputs={name: workdir / name for name in stage.needs},
        console=console,
    )
    found = read_manifest(folder)
    status: Status = "made" if found is None else "continued"
    if found is not None and found.complete:
        if not (damaged := damaged_files(found, folder)):
            run.say(f"{stage.name}: reused")
            return StageOutcome(stage.name, "reused", 0.0)
        status = "repaired"
        run.say(f"{stage.name}: {', '.join(damaged)} not as written; making again")
        for name in damaged:
            (folder / name).unlink(missing_ok=True)
    elif status == "continued":
        run.say(f"{stage.name}: continuing")
    before = expected if found is None else found
    states = [*before.code, *([] if code in before.code else [code])]
    begun = dataclasses.replace(expected, seconds=before.seconds, code=states)
    write_manifest(folder, begun)
    start = time.monotonic()
    with _time_kept(folder, begun, start):
        stage.make(run)
    seconds = time.monotonic() - start
    write_manifest(folder, completed(begun, folder, seconds))
    run.say(f"{stage.name}: done in {seconds:.1f} s")
    return StageOutcome(stage.name, status, seconds)


@contextlib.contextmanager
def _time_kept(folder: Path, begun: Manifest, start: float) -> Iterator[None]:
    """Notes the time spent when a stage ends early, so that the sum over all runs is right in the end."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            write_manifest(folder, dataclasses.replace(begun, seconds=begun.seconds + time.monotonic() - start))
        raise


def _write_config(path: Path, config: ml_collections.ConfigDict) -> None:
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in flat(config).items()}
    if not path.is_file() or read_json(path) != settings:
        write_json(path, settings)


def _publish(workdir: Path) -> None:
    for name, source in PUBLISHED.items():
        if not (workdir / source).is_file():
            continue
        content = (workdir / source).read_bytes()
        if not (workdir / name).is_file() or (workdir / name).read_bytes() != content:
            temporary = workdir / f".{name}.tmp"
            shutil.copyfile(workdir / source, temporary)
            temporary.replace(workdir / name)
