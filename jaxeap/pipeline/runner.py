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

import jax
import ml_collections
import rich.console

import jaxeap
from jaxeap.parallel import hosts
from jaxeap.pipeline.execution.compilation_cache import use_compilation_cache
from jaxeap.pipeline.execution.environment import source_hash
from jaxeap.pipeline.inputs.model_source import with_local_models
from jaxeap.pipeline.inputs.pair import mesh_of, mesh_sizes, sources_of
from jaxeap.pipeline.link import link_finished
from jaxeap.pipeline.null_pair import FOLDER as NULL_PAIR
from jaxeap.pipeline.null_pair import null_config
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
from jaxeap.pipeline.storage.artifacts import files_below, read_json, write_json
from jaxeap.pipeline.storage.disk import room_wanted
from jaxeap.pipeline.storage.fingerprint import KnownHashes, model_identity, questions_identity, run_identity
from jaxeap.pipeline.storage.workdir import open_workdir, supersede, swept
from jaxeap.pipeline.validation import validate
from jaxeap.tasks.selection import EmptySelectionError

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
    if not hosts.is_first():
        console = rich.console.Console(quiet=True)
    code = source_hash(Path(jaxeap.__file__).parent)
    hosts.require_same("code", {"jaxeap": code, "jax": jax.__version__})
    hosts.require_same("setting", flat(config))
    validate(config)
    asked = config
    hosts.on_first(lambda: with_local_models(asked) and None)  # What it downloads the others may find there.
    config = with_local_models(asked)
    _require_mesh(config)
    with room_wanted(Path(workdir)), open_workdir(workdir) as folder, swept(folder, [s.name for s in STAGES]):
        if config.controls.null_tuned:
            config.controls.null_run = str(_run_null_pair(config, folder, console, siblings))
        with console.status("identifying models and questions"):
            identities = _identities(config, folder, siblings)
        expected = _expected(config, identities)

        def prepare() -> None:
            _supersede_outdated(folder, expected, console)
            for name in link_finished(expected, folder, siblings):
                console.print(f"{name}: taken from a run before", highlight=False)
            _write_config(folder / CONFIG, asked)

        def conclude() -> None:
            _publish(folder)
            write_run_manifest(folder, {stage.name: folder / stage.name for stage in STAGES})

        hosts.on_first(prepare)
        use_compilation_cache(config.compilation_cache)
        outcomes = [_walk(stage, expected[stage.name], config, folder, console, code) for stage in STAGES]
        hosts.on_first(conclude)
        hosts.require_seen(lambda: [folder / name for name in PUBLISHED if (folder / name).is_file()])
    return outcomes


def _require_mesh(config: ml_collections.ConfigDict) -> None:
    """Refuses a mesh for which devices are missing, that leaves out a host, or that hosts have chosen differently.

    Raises:
      HostError: the hosts would not agree.
      ValueError: there are too few devices, or a host has none in the mesh.
    """
    mesh = mesh_of(config)
    if not hosts.several():
        return
    sizes = mesh_sizes(config)
    hosts.require_same("mesh", dict(zip(("data", "fsdp", "tensor"), sizes[:3], strict=True)))
    at_work = {0} if mesh is None else {device.process_index for device in mesh.devices.flat}
    if idle := [str(host) for host in range(jax.process_count()) if host not in at_work]:
        raise ValueError(
            f"the mesh has {sizes.devices} of {jax.device_count()} devices, and none of host {', '.join(idle)}; set "
            f"config.mesh.data, .fsdp and .tensor so that their product is {jax.device_count()}, or start fewer hosts"
        )


def _run_null_pair(
    config: ml_collections.ConfigDict, workdir: Path, console: rich.console.Console, siblings: Sequence[Path]
) -> Path:
    """Contrasts base with `controls.null_tuned` in a folder of the work directory, and returns that folder."""
    null, folder = null_config(config), workdir / NULL_PAIR
    console.rule(f"first the null pair, in {folder}", align="left")
    try:
        run_pipeline(null, folder, console, siblings=[each / NULL_PAIR for each in siblings])
    except EmptySelectionError as error:
        raise ValueError(
            f"the null pair, base and config.controls.null_tuned: {error}; or go without, --config.controls.null_tuned="
            "none"
        ) from error
    console.rule("now the pair itself", align="left")
    return folder


def _identities(config: ml_collections.ConfigDict, workdir: Path, siblings: Sequence[Path]) -> dict[str, str]:
    """Hashes of the files that settings name, by setting.

    Every host looks at the files as it sees them, after the first has: what lies on a shared file system is known then
    by its modification time, and what each host has a copy of is hashed by each.

    Raises:
      HostError: a host sees other content.
    """
    found: dict[str, str] = hosts.on_first(lambda: _identified(config, workdir, siblings))
    if not hosts.is_first():
        found = _identified(config, workdir, siblings)
    hosts.require_same("content of a file", found)
    return found


def _identified(config: ml_collections.ConfigDict, workdir: Path, siblings: Sequence[Path]) -> dict[str, str]:
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
        if hosts.is_first():
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
    status, before = hosts.on_first(lambda: _begun(run, stage.name, expected, code))
    begun = Manifest(**before)
    if status != "reused":
        start = time.monotonic()
        with _time_kept(folder, begun, start):
            if stage.on_all_hosts:
                stage.make(run)
            else:
                hosts.on_first(lambda: stage.make(run))
        seconds = time.monotonic() - start
        hosts.on_first(lambda: write_manifest(folder, completed(begun, folder, seconds)))
        run.say(f"{stage.name}: done in {seconds:.1f} s")
    hosts.require_seen(lambda: files_below(folder))
    return StageOutcome(stage.name, status, 0.0 if status == "reused" else seconds)


def _begun(run: StageRun, name: str, expected: Manifest, code: str) -> tuple[Status, dict[str, Any]]:
    """What is to be done with a stage, and the manifest that it has now."""
    found = read_manifest(run.folder)
    status: Status = "made" if found is None else "continued"
    if found is not None and found.complete:
        if not (damaged := damaged_files(found, run.folder)):
            run.say(f"{name}: reused")
            return "reused", dataclasses.asdict(found)
        status = "repaired"
        run.say(f"{name}: {', '.join(damaged)} not as written; making again")
        for file in damaged:
            (run.folder / file).unlink(missing_ok=True)
    elif status == "continued":
        run.say(f"{name}: continuing")
    before = expected if found is None else found
    states = [*before.code, *([] if code in before.code else [code])]
    begun = dataclasses.replace(expected, seconds=before.seconds, code=states)
    write_manifest(run.folder, begun)
    return status, dataclasses.asdict(begun)


@contextlib.contextmanager
def _time_kept(folder: Path, begun: Manifest, start: float) -> Iterator[None]:
    """Notes the time spent when a stage ends early, so that the sum over all runs is right in the end."""
    try:
        yield
    except BaseException:
        if hosts.is_first():
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
