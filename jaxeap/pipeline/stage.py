"""A stage of the pipeline: what it reads, what it makes, and the manifest that says for which settings it made it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_collections
import rich.console

from jaxeap.pipeline.settings import flat, within
from jaxeap.pipeline.storage.artifacts import files_below, read_json, sha256, write_json
from jaxeap.pipeline.storage.fingerprint import fingerprint

MANIFEST = "stage.json"


@dataclasses.dataclass(frozen=True)
class StageRun:
    """What a stage is given.

    Attributes:
      config: the settings that the stage has declared; reading any other is an error.
      folder: where it puts its results. What lies there already was made with the same settings by a run that did not
        get to the end, and need not be made again.
      inputs: folders of the finished stages that it needs, by name.
      console: where it says what it does.
      portions: of work, by its kind, that fit into a device's memory where those asked for did not; see `in_portions`.
    """

    config: ml_collections.FrozenConfigDict
    folder: Path
    inputs: Mapping[str, Path]
    console: rich.console.Console
    portions: dict[str, Any] = dataclasses.field(default_factory=dict)

    def say(self, message: str) -> None:
        """Prints text as it is, brackets included."""
        self.console.print(message, markup=False, highlight=False, soft_wrap=True)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
      name: of the stage and of its folder.
      make: does the work; a pure function of the settings, the inputs and the files that they name.
      reads: settings, or groups of settings, on which the result depends.
      tuning: settings that the stage reads and that change speed or memory alone.
      needs: stages whose results it reads.
      version: goes up when the code comes to make something else of the same settings.
      on_all_hosts: runs models, which lie on the devices of all hosts; any other stage is made by the first alone.
    """

    name: str
    make: Callable[[StageRun], None]
    reads: tuple[str, ...]
    tuning: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    version: int = 1
    on_all_hosts: bool = False


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a stage's folder holds.

    Attributes:
      stage, version: of the stage.
      settings: value (of files: hash of the content) of every setting on which the result depends.
      needs: fingerprint of each stage that was read.
      complete: the stage came to its end.
      seconds: time spent, over all runs that it took.
      files: hash of each result, by path in the folder; empty until complete.
      code: hashes of the source of the package, of each state of it that worked on the stage.
    """

    stage: str
    version: int
    settings: dict[str, Any]
    needs: dict[str, str]
    complete: bool = False
    seconds: float = 0.0
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    code: list[str] = dataclasses.field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides over the result."""
        return fingerprint(
            {"stage": self.stage, "version": self.version, "settings": self.settings, "needs": self.needs}
        )


def expected_manifest(
    stage: Stage, config: ml_collections.ConfigDict, identities: Mapping[str, str], upstream: Mapping[str, Manifest]
) -> Manifest:
    """The manifest that the stage has when nothing of it is made yet.

    Args:
      stage: the stage.
      config: all settings.
      identities: for settings that name files, what the files hold; takes the place of the path.
      upstream: manifests of the earlier stages, by name.
    """
    settings = {key: value for key, value in flat(config).items() if within(key, stage.reads)}
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    return Manifest(
        stage=stage.name,
        version=stage.version,
        settings=settings | {key: identities[key] for key in settings if key in identities},
        needs={name: upstream[name].fingerprint for name in stage.needs},
    )


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a stage's folder; None where there is none, or none that can be read."""
    try:
        return Manifest(**read_json(folder / MANIFEST))
    except (FileNotFoundError, TypeError, ValueError):
        return None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest into the stage's folder."""
    write_json(folder / MANIFEST, dataclasses.asdict(manifest))


def completed(manifest: Manifest, folder: Path, seconds: float) -> Manifest:
    """The manifest of a stage whose folder now holds everything."""
    files = {str(path.relative_to(folder)): sha256(path) for path in files_below(folder) if path.name != MANIFEST}
    return dataclasses.replace(manifest, complete=True, seconds=manifest.seconds + seconds, files=files)


def damaged_files(manifest: Manifest, folder: Path) -> list[str]:
    """Results that are missing or not what the stage wrote."""
    return [
        name
        for name, expected in manifest.files.items()
        if not (folder / name).is_file() or sha256(folder / name) != expected
    ]
