import hashlib
from pathlib import Path

import numpy as np

from jaxeap.pipeline.artifacts import read_json, write_json, write_tensors
from jaxeap.pipeline.page_content import page_content, settings_of, short_name, stages_of
from jaxeap.pipeline.runner import run_pipeline
from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages import STAGES
from jaxeap.pipeline.stages.attribute import nodes_of


def test_short_names():
    assert short_name("/home/somebody/models/tiny/base") == "tiny/base"
    assert short_name("base") == "base"
    assert short_name("/base") == "base"


def test_everything_that_is_there_is_found(config, console, tmp_path: Path, no_figures):
    run_pipeline(config, tmp_path, console)
    inputs = {stage.name: tmp_path / stage.name for stage in STAGES if stage.name != "report"}
    write_json(tmp_path / "controls" / "controls.json", {"verdicts": []})
    inputs["controls"] = tmp_path / "controls"
    run = StageRun(restricted(config, ("base", "tuned", "report")), tmp_path / "report", inputs, console)
    nodes = nodes_of(tmp_path / "attribute")
    edges = {"base": np.where(nodes.mask, 1.0, np.nan).astype(np.float32)}
    write_tensors(tmp_path / "contrast" / "edges.safetensors", edges, {})
    content = page_content(run)
    assert content.models.tuned.endswith("/tuned")
    assert content.controls == {"verdicts": []}
    assert content.metrics == read_json(tmp_path / "metrics.json")
    assert content.questions is not None
    assert set(content.questions.ids) == {id_ for ids, _ in content.questions.base() for id_ in ids}
    assert len(content.questions.texts) == len(content.questions.levels) == 11
    assert content.edges is not None
    np.testing.assert_array_equal(content.edges.values["base"], edges["base"])
    assert content.edges.level == "block"

    tokens = hashlib.sha256((tmp_path / "select" / "selection.json").read_bytes()).hexdigest()
    assert content.hashes["tokens that were scored"] == tokens
    assert len(set(content.hashes.values())) == 3
    settings = settings_of(inputs)
    assert list(settings)[:3] == ["base", "questions", "tuned"]
    assert settings["base"] == read_json(tmp_path / "attribute" / "stage.json")["settings"]["base"]
    times = {stage["stage"]: stage["seconds"] for stage in stages_of(inputs)}
    assert times["attribute"] == read_json(tmp_path / "attribute" / "stage.json")["seconds"] > 0
