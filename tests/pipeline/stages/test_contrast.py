"""The stage on scores that lie on disk in shards of several sizes and in no order."""

import json

import numpy as np
import pytest

from jaxeap.metrics import MetricOptions, contrast, layer_intensity
from jaxeap.metrics.edges import edge_contrast
from jaxeap.pipeline.scoring.scores import Scores, append_shard
from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages.contrast import CONTRAST, contrast_models, contrast_of, edges_of, layers_of, metrics_of
from jaxeap.pipeline.storage.artifacts import write_json
from jaxeap.tasks.jsonl import write_jsonl
from jaxeap.tasks.questions import Question, write_questions
from jaxeap.tasks.selection import CutSequence, SelectedQuestion, Selection, SelectionOptions, write_selection

IDS = [f"q{number}" for number in range(14)]
SOURCES, DESTINATIONS = ("embed", "a0", "m0"), ("a0<q>", "a0<k>", "a0<v>", "m0", "logits")
MASK = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1]], bool)


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    base = generator.standard_t(4, (14, *MASK.shape)) * MASK
    tuned = 1.3 * base + 0.3 * generator.standard_normal(base.shape) * MASK
    return base.astype(np.float32), tuned.astype(np.float32)


@pytest.fixture
def run(config, console, tmp_path, scores) -> StageRun:
    inputs = {name: tmp_path / name for name in ("respond", "grade", "select", "attribute")}
    for folder in (*inputs.values(), tmp_path / "contrast"):
        folder.mkdir()
    write_json(inputs["respond"] / "vocabulary.json", {"errors": [], "warnings": [], "notes": []})
    questions = [Question(id_, "1+1=", "2", "carry" if number % 3 else "easy") for number, id_ in enumerate(IDS)]
    write_questions(inputs["respond"] / "questions.jsonl", questions)
    write_json(inputs["grade"] / "summary.json", {"questions": 14})
    sequence = CutSequence((1, 2, 3), 2, 3)
    selected = tuple(SelectedQuestion(id_, sequence, sequence) for id_ in IDS)
    write_selection(inputs["select"] / "selection.json", Selection(SelectionOptions(), 3.0, 1, (), selected))
    rows = ["".join("01"[int(edge)] for edge in row) for row in MASK]
    graph = {"level": "block", "sources": SOURCES, "destinations": DESTINATIONS, "mask": rows}
    write_json(inputs["attribute"] / "graph.json", graph)
    for role, of_role, order in zip(("base", "tuned"), scores, ((3, 0, 5), (9, 2)), strict=True):
        left = [place for place in range(14) if place not in order]
        for places in (list(order), left):
            numbers = np.array(places, np.float32)
            shard = Scores(tuple(IDS[place] for place in places), of_role[places], numbers, numbers)
            append_shard(inputs["attribute"] / f"{role}_on_{role}_text", shard)
    losses = [
        {"question_id": id_, "base_on_base_text": float(n), "tuned_on_tuned_text": 2.0 * n} for n, id_ in enumerate(IDS)
    ]
    write_jsonl(inputs["attribute"] / "losses.jsonl", losses)
    settings = restricted(config, (*CONTRAST.reads, *CONTRAST.tuning))
    return StageRun(settings, tmp_path / "contrast", inputs, console)


def test_everything_is_that_of_the_scores_in_memory(run, scores):
    contrast_models(run)
    bootstrap = dict(run.config.bootstrap)
    expected = contrast(*scores, MASK, MetricOptions(), **bootstrap)
    for found, metric in zip(contrast_of(run.folder).metrics, expected.metrics, strict=True):
        assert (found.name, found.method, found.p_value) == (metric.name, metric.method, metric.p_value)
        for field in ("base", "tuned", "interval", "effect_size"):
            np.testing.assert_allclose(getattr(found, field), getattr(metric, field), rtol=1e-9, atol=1e-14)
    layers = layer_intensity(*scores, MASK, DESTINATIONS, **bootstrap)
    assert [row.layer for row in layers_of(run.folder)] == [row.layer for row in layers]
    np.testing.assert_allclose(layers_of(run.folder)[0].difference_interval, layers[0].difference_interval, rtol=1e-9)
    edges = edges_of(run.folder)
    for name, matrix in edge_contrast(*scores, MASK).arrays().items():
        np.testing.assert_array_equal(edges[name], matrix, err_msg=name)


def test_parts_and_numbers_of_questions_are_written(run):
    contrast_models(run)
    content = metrics_of(run.folder)
    json.dumps(content, allow_nan=False)
    assert content["loss"] == {"base": 6.5, "tuned": 13.0}
    members = {kind: list(dict.fromkeys(row["member"] for row in rows)) for kind, rows in content["breakdowns"].items()}
    assert members == {
        "layer": ["0", "logits"],
        "destination_kind": ["query", "key", "value", "mlp", "logits"],
        "source_kind": ["embed", "attention", "mlp"],
        "difficulty": ["easy", "carry"],
    }
    easy = [
        row for row in content["breakdowns"]["difficulty"] if (row["member"], row["metric"]) == ("easy", "intensity")
    ]
    assert easy[0]["examples"] == 5 and easy[0]["q_value"] is not None
    enough = content["enough_questions"]["intensity"]
    assert enough["examples"][-1] == 14 and len(enough["width"]) == len(enough["examples"])
    assert "edges changed their mean strength" in run.console.file.getvalue()


def test_what_is_switched_off_is_not_made(run, config):
    config.contrast.breakdowns, config.contrast.edges, config.contrast.permutations = (), False, 0
    config.contrast.intervals = "percentile"
    settings = restricted(config, (*CONTRAST.reads, *CONTRAST.tuning))
    contrast_models(StageRun(settings, run.folder, run.inputs, run.console))
    assert edges_of(run.folder) is None and metrics_of(run.folder)["breakdowns"] == {}
    for row in contrast_of(run.folder).metrics:
        assert (row.p_value, row.method) == (None, "percentile")
