"""Changes against the contrast of the pipeline, which computes the same another way; missing ones; reference text."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxeap.metrics.bootstrap import percentile_interval
from jaxeap.models.save import save_model
from jaxeap.pipeline.storage.artifacts import read_json
from jaxeap.rl.experiments.comparison import compare
from jaxeap.rl.experiments.plan import Comparison, ModelRef
from jaxeap.rl.experiments.settings import lab_config
from jaxeap.tasks.tokenizer import arithmetic_tokenizer
from tests.tiny_decoder import tiny_decoder


@pytest.fixture
def config():
    config = lab_config("rl_methods", ("grpo",), 1)
    config.contrast.num_questions = 12
    config.contrast.fewest = 5
    config.bootstrap.resamples = 60
    return config


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    monkeypatch.setattr("jaxeap.pipeline.stages.report.write_figures", lambda *arguments: ())
    base = tiny_decoder()
    save_model(base, tmp_path / "base", arithmetic_tokenizer())
    weights = {**base.weights, "final_norm": 1.3 * base.weights["final_norm"]}
    save_model(type(base)(base.config, weights), tmp_path / "tuned", arithmetic_tokenizer())
    return tmp_path / "base", tmp_path / "tuned"


def comparison(text: str) -> Comparison:
    return Comparison("c", ModelRef("base"), ModelRef("tuned"), "digit_reversal:test", text, max_new_tokens=9)


def test_reference_text_equals_the_pipelines_contrast(models, config, tmp_path):
    """Random models answer nothing rightly, so only the reference answers can be compared."""
    found = compare(comparison("reference"), *models, tmp_path / "contrasts" / "c", config)
    assert (found.asked, found.accuracy, found.missing) == (12, None, "")
    metrics = read_json(tmp_path / "contrasts" / "c" / "metrics.json")
    assert found.selected == metrics["contrast"]["examples"] > 5
    for name, expected in metrics["contrast"]["metrics"].items():
        assert found.changes.base[name] == pytest.approx(expected["base"], rel=1e-12)
        assert found.changes.tuned[name] == pytest.approx(expected["tuned"], rel=1e-12)
        interval = percentile_interval(found.changes.difference[name], 0.95)
        bounds = (expected["interval"]["low"], expected["interval"]["high"])
        assert interval == pytest.approx(bounds, rel=1e-9)
    assert found.changes.base["loss"] == pytest.approx(metrics["loss"]["base"], rel=1e-6)
    assert np.isfinite(found.changes.relative["loss"]).all()
    record = json.loads((tmp_path / "contrasts" / "c.reference.jsonl").read_text().splitlines()[0])
    decoded = arithmetic_tokenizer().decode(record["tuned_answer_tokens"], skip_special_tokens=True)
    assert decoded == record["answer"] == record["question"][:-1][::-1]


@pytest.mark.slow
def test_too_few_questions_are_reported_and_do_not_stop_the_run(models, config, tmp_path):
    found = compare(comparison("own"), *models, tmp_path / "own", config)
    assert found.changes is None
    assert found.selected == 0 and found.asked == 12
    assert "no question is left" in found.missing
    config.contrast.fewest = 13
    again = compare(comparison("reference"), *models, tmp_path / "few", config)
    assert again.changes is None and "fewer than 13" in again.missing
