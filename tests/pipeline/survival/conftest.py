"""A small run with every kind of part on disk, and what it leaves when nobody interrupts it."""

import io
from pathlib import Path

import ml_collections
import pytest
import rich.console

from jaxeap.pipeline import run_pipeline
from tests.pipeline.conftest import run_uncollected
from tests.pipeline.survival.killing import parted_config, results


@pytest.fixture
def parted(pair_folder: Path) -> ml_collections.ConfigDict:
    """The config of `killing.parted_config`."""
    return parted_config(pair_folder)


@pytest.fixture(scope="package")
def whole(pair_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Results of that config, from a run that nobody interrupted."""
    workdir = tmp_path_factory.mktemp("whole") / "w"
    with pytest.MonkeyPatch.context() as patched:
        run_uncollected(patched)
        run_pipeline(parted_config(pair_folder), workdir, rich.console.Console(file=io.StringIO()))
    return results(workdir)
