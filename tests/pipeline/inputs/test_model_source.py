"""Where an adapter's model is looked for, and in what order."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.inputs.model_source import ModelSource, pair_sources, with_local_models
from tests.pipeline.adapter import write_adapter


def test_two_models_are_their_folders(pair_folder: Path):
    base, tuned = pair_sources(pair_folder / "base", str(pair_folder / "tuned"))
    assert (base, tuned) == (ModelSource(pair_folder / "base"), ModelSource(pair_folder / "tuned"))
    assert base.model_folder == base.tokenizer_folder == base.generation_folder == pair_folder / "base"


def test_an_adapter_is_of_what_the_setting_says_then_of_what_it_names_then_of_the_base(
    pair_folder: Path, tmp_path: Path
):
    base, other = pair_folder / "base", pair_folder / "tuned"
    adapter = write_adapter(tmp_path / "adapter", base, names=str(other))
    assert pair_sources(base, adapter, base)[1] == ModelSource(adapter, base)
    assert pair_sources(base, adapter)[1] == ModelSource(adapter, other)
    distant = write_adapter(tmp_path / "distant", base, names="owner/model")
    assert pair_sources(base, distant)[1] == ModelSource(distant, base)
    assert pair_sources(adapter, distant) == (ModelSource(adapter, other), ModelSource(distant, other))
    with pytest.raises(FileNotFoundError, match="LoRA adapter without its base model"):
        pair_sources(distant, base)
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        pair_sources(base, distant, tmp_path / "nowhere")


def test_the_setting_needs_an_adapter(pair_folder: Path):
    with pytest.raises(ValueError, match=r"adapter_base=.*neither .* is an adapter"):
        pair_sources(pair_folder / "base", pair_folder / "tuned", pair_folder / "base")


def test_what_an_adapter_brings_along_goes_first(pair_folder: Path, tmp_path: Path):
    base = pair_folder / "base"
    source = pair_sources(base, write_adapter(tmp_path / "adapter", base))[1]
    assert source.tokenizer_folder == source.generation_folder == source.model_folder == base
    for name in ("tokenizer.json", "generation_config.json"):
        shutil.copy(base / name, source.folder)
    assert source.tokenizer_folder == source.generation_folder == source.folder
    assert str(source) == f"{tmp_path / 'adapter'} on {base}"


def test_models_on_the_hub_become_folders_once(config, monkeypatch, pair_folder):
    asked = []

    def snapshot(name, revision):
        asked.append((name, revision))
        return pair_folder / "tuned"

    monkeypatch.setattr("jaxeap.pipeline.inputs.model_source.snapshot", snapshot)
    config.tuned = "hub:owner/model@step-10"
    local = with_local_models(config)
    assert asked == [("owner/model", "step-10")]
    assert (local.base, local.tuned) == (str(pair_folder / "base"), str(pair_folder / "tuned"))
    assert config.tuned == "hub:owner/model@step-10"


def test_a_run_keeps_the_name_and_reads_the_folder(config, monkeypatch, pair_folder, tmp_path, console, no_figures):
    monkeypatch.setattr("jaxeap.pipeline.inputs.model_source.snapshot", lambda *_: pair_folder / "tuned")
    by_folder, config.tuned = config.tuned, "hub:owner/model@main"
    run_pipeline(config, tmp_path, console)
    assert json.loads((tmp_path / "config.json").read_text())["tuned"] == "hub:owner/model@main"
    config.tuned = by_folder
    assert {outcome.status for outcome in run_pipeline(config, tmp_path, console)} == {"reused"}


def test_a_model_that_is_nowhere_is_named_with_the_remedy(config, monkeypatch, tmp_path, console):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    config.base = "hub:owner/model@step-10"
    with pytest.raises(FileNotFoundError, match="hf download owner/model --revision step-10 --local-dir"):
        run_pipeline(config, tmp_path / "w", console)
    assert not (tmp_path / "w").exists()
    config.base = "hub:model"
    with pytest.raises(ValueError, match=r"config\.base: 'hub:model' is no model on the Hub"):
        run_pipeline(config, tmp_path / "w", console)
