import hashlib
from pathlib import Path

import numpy as np

from jaxeap.pipeline.settings import default_config, restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages import STAGES
from jaxeap.pipeline.stages.attribute import OWN_TEXT, scores_of
from jaxeap.pipeline.stages.page_content import page_content, settings_of, short_name, stages_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json


def test_short_names():
    assert short_name("/home/somebody/models/tiny/base") == "tiny/base"
    assert short_name("base") == "base"
    assert short_name("/base") == "base"


def test_everything_that_is_there_is_found(finished_run: Path, pair_folder: Path, console):
    config = default_config()
    config.base, config.tuned = str(pair_folder / "base"), str(pair_folder / "tuned")
    inputs = {stage.name: finished_run / stage.name for stage in STAGES if stage.name != "report"}
    run = StageRun(restricted(config, ("base", "tuned", "report")), finished_run / "report", inputs, console)
    content = page_content(run)
    assert content.models.tuned.endswith("/tuned")
    assert content.metrics == read_json(finished_run / "metrics.json")
    assert content.controls == read_json(finished_run / "controls" / "controls.json")
    assert content.circuits == read_json(finished_run / "circuits" / "circuits.json")
    assert content.weights == read_json(finished_run / "weights" / "weights.json")

    ids = selection_of(finished_run / "select").question_ids
    assert content.questions is not None
    assert list(content.questions.ids) == ids
    assert len(content.questions.texts) == len(content.questions.levels) == len(ids)
    scores = scores_of(finished_run / "attribute", OWN_TEXT[1], ids)
    found = {id_: row for block, rows in content.questions.tuned() for id_, row in zip(block, rows, strict=True)}
    np.testing.assert_array_equal([found[id_] for id_ in ids], scores.scores)
    assert content.edges is not None
    np.testing.assert_allclose(
        content.edges.values["tuned"][content.edges.mask],
        np.abs(scores.scores.astype(np.float64)).mean(axis=0)[content.edges.mask],
        rtol=1e-5,
    )

    tokens = hashlib.sha256((finished_run / "select" / "selection.json").read_bytes()).hexdigest()
    assert content.hashes["tokens that were scored"] == tokens
    assert len(set(content.hashes.values())) == len(content.hashes) == 7
    settings = settings_of(inputs)
    assert list(settings)[:3] == ["base", "questions", "tuned"]
    assert settings["base"] == read_json(finished_run / "attribute" / "stage.json")["settings"]["base"]
    times = {stage["stage"]: stage["seconds"] for stage in stages_of(inputs)}
    assert times["attribute"] == read_json(finished_run / "attribute" / "stage.json")["seconds"] > 0
