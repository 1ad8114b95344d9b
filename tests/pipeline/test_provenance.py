import hashlib
import io
import shutil
from pathlib import Path

import pytest
import rich.console

from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.provenance import hashes_of, write_run_manifest
from jaxeap.pipeline.stage import read_manifest
from jaxeap.pipeline.stages import STAGES
from jaxeap.pipeline.storage.artifacts import read_json
from jaxeap.pipeline.storage.fingerprint import model_identity
from tests.pipeline.test_runner import Interrupted, interrupt_at


def folders(workdir: Path) -> dict[str, Path]:
    return {stage.name: workdir / stage.name for stage in STAGES}


def test_manifest_of_a_run_names_settings_models_tokens_and_code(finished_run: Path, pair_folder: Path):
    manifest = read_json(finished_run / "manifest.json")
    hashes = manifest["hashes"]
    assert hashes["base model (configuration, weights, tokenizer)"] == model_identity(pair_folder / "base", {})
    assert hashes["tuned model (likewise)"] == model_identity(pair_folder / "tuned", {})
    tokens = (finished_run / "select" / "selection.json").read_bytes()
    assert hashes["tokens that were scored"] == hashlib.sha256(tokens).hexdigest()
    assert {"settings", "code", "answers of base", "answers of tuned"} < set(hashes)
    assert list(manifest["stages"]) == [stage.name for stage in STAGES]
    for name, stage in manifest["stages"].items():
        assert stage["code"] == [hashes["code"]]
        for file, expected in stage["files"].items():
            assert hashlib.sha256((finished_run / name / file).read_bytes()).hexdigest() == expected


def test_manifest_that_is_right_is_not_touched_and_a_damaged_one_is_made_again(finished_run: Path, tmp_path: Path):
    path = tmp_path / "manifest.json"
    write_run_manifest(tmp_path, folders(finished_run))
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert before[0] == (finished_run / "manifest.json").read_bytes()
    write_run_manifest(tmp_path, folders(finished_run))
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    path.write_bytes(before[0][:50])
    write_run_manifest(tmp_path, folders(finished_run))
    assert path.read_bytes() == before[0]


def test_another_value_of_a_setting_is_another_hash(finished_run: Path, tmp_path: Path):
    before = hashes_of(folders(finished_run))["settings"]
    copy = shutil.copytree(finished_run, tmp_path / "copy")
    for path in copy.glob("*/stage.json"):  # Several stages read it.
        path.write_text(path.read_text().replace('"selection.alpha": 1.0', '"selection.alpha": 0.5'))
    assert hashes_of(folders(copy))["settings"] != before


@pytest.fixture
def code_of(monkeypatch: pytest.MonkeyPatch):
    """A function that says what state the code is in from now on."""
    return lambda name: monkeypatch.setattr("jaxeap.pipeline.runner.source_hash", lambda folder: name)


def test_states_of_the_code_that_worked_on_a_stage_are_noted(config, tmp_path, monkeypatch, code_of):
    monkeypatch.setattr("jaxeap.pipeline.runner.STAGES", STAGES[:4])
    console = rich.console.Console(file=io.StringIO())
    code_of("one")
    with monkeypatch.context() as patched:
        interrupt_at(patched, "jaxeap.pipeline.scoring.score.attribute", 3)
        with pytest.raises(Interrupted):
            run_pipeline(config, tmp_path, console)
    code_of("two")
    run_pipeline(config, tmp_path, console)
    codes = {stage.name: read_manifest(tmp_path / stage.name).code for stage in STAGES[:4]}
    assert codes == {"respond": ["one"], "grade": ["one"], "select": ["one"], "attribute": ["one", "two"]}
    hashes = hashes_of(folders(tmp_path))
    assert hashes["code (respond, grade, select, attribute)"] == "one"
    assert hashes["code (attribute)"] == "two"
