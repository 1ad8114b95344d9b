"""The pipeline and its two models: equal or broken ones, adapters, other vocabularies, one in memory at a time."""

import gc
import json
import shutil
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap
from checkpoint_convert import convert
from jaxeap.models.model import Decoder
from jaxeap.models.save import save_model
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.stages.attribute import Cell, scores_of
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.stages.controls import controls_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.tasks.tokenizer import arithmetic_tokenizer
from tests.pipeline.adapter import write_adapter
from tests.pipeline.conftest import NAMES, statuses


def test_same_model_twice_has_changed_nothing(full_config, console, tmp_path, no_figures):
    full_config.tuned = full_config.base
    run_pipeline(full_config, tmp_path, console)
    for metric in contrast_of(tmp_path / "contrast").metrics:
        assert metric.difference == 0.0
        assert metric.interval == (0.0, 0.0)
    controls = controls_of(tmp_path / "controls")
    nothing = {"value": 0.0, "interval": {"low": 0.0, "high": 0.0, "confidence": 0.95, "method": "percentile"}}
    for entry in controls["two_by_two"]:
        assert [entry[part] for part in ("raw", "model", "text", "interaction")] == [nothing] * 4
        assert len(set(entry["cells"].values())) == 1
    rows = [row for entry in controls["sensitivity"] for row in entry["rows"]]
    assert {row["difference"] for row in (*rows, *controls["normalised"])} == {0.0}
    assert controls["divergence"] == {"questions": 7, "base_text": nothing, "tuned_text": nothing}
    assert controls["weights_changed"] == 0.0
    assert [verdict["verdict"] for verdict in controls["verdicts"]] == ["not supported"] * 4


@pytest.mark.parametrize(("what", "said"), [("loss", "loss is nan"), ("scores", "scores are not all finite")])
def test_numbers_that_are_not_finite_are_refused_by_name(
    what, said, config, console, tmp_path, no_figures, monkeypatch
):
    def broken(model, batch, **options):
        result = jaxeap.attribute(model, batch, **options)
        broken_part = np.array(getattr(result, what))
        broken_part[1] = np.nan
        return jaxeap.AttributionResult(
            **{"scores": result.scores, "loss": result.loss, what: jnp.asarray(broken_part)},
            graph=result.graph,
            method=result.method,
            ablation=result.ablation,
            gradient_norm=result.gradient_norm,
        )

    monkeypatch.setattr("jaxeap.pipeline.scoring.score.attribute", broken)
    with pytest.raises(ValueError, match=said) as caught:
        run_pipeline(config, tmp_path, console)
    assert "base model" in str(caught.value)
    assert config.base in str(caught.value)
    id_ = selection_of(tmp_path / "select").question_ids[1]
    assert f"question {id_!r}" in str(caught.value)
    assert "weights are likely damaged" in str(caught.value)
    assert not list((tmp_path / "attribute").rglob("*.safetensors")), "what is not finite must not be kept"


def test_weights_with_nan_are_refused_with_the_models_name(config, console, tmp_path):
    model = jaxeap.load_model(config.tuned)
    weights = jax.tree.map(lambda array: array.at[..., 0].set(np.nan), model.weights)
    save_model(Decoder(model.config, weights), tmp_path / "broken", arithmetic_tokenizer())
    config.tuned = str(tmp_path / "broken")
    with pytest.raises(ValueError, match=r"tuned model \(.*broken\): .* not finite"):
        run_pipeline(config, tmp_path / "w", console)


def test_one_model_is_in_memory_at_a_time(full_config, console, tmp_path, no_figures, monkeypatch):
    """But for the unembedding of the base, by which the divergence is measured."""
    loaded, alive = [], []

    def watched(folder, dtype, mesh, base):
        alive.append(sum(reference() is not None for reference in loaded))
        model = jaxeap.load_model(folder, dtype=dtype, base=base)
        loaded.append(weakref.ref(model.weights["layers"]["query"]))
        return model

    monkeypatch.setattr("jaxeap.pipeline.inputs.pair.gc", gc)
    monkeypatch.setattr("jaxeap.pipeline.inputs.pair.load_model", watched)
    gc.freeze()  # What was there before the run need not be looked through 14 times.
    try:
        run_pipeline(full_config, tmp_path, console)
    finally:
        gc.unfreeze()
    assert alive == [0] * (7 * 2), "answers, scores, audit, another alpha, bands, divergence, circuits: each loads both"


def test_missing_model_folder_is_named(config, console, tmp_path):
    config.base = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        run_pipeline(config, tmp_path / "w", console)


def test_model_folder_without_tokenizer_is_named(config, console, tmp_path):
    save_model(jaxeap.load_model(config.base), tmp_path / "bare")
    config.base = str(tmp_path / "bare")
    with pytest.raises(FileNotFoundError, match="bare: no tokenizer"):
        run_pipeline(config, tmp_path / "w", console)


def test_an_adapter_is_the_model_that_it_makes_of_its_base(config, console, tmp_path, no_figures):
    config.tuned = str(write_adapter(tmp_path / "adapter", Path(config.base)))
    run_pipeline(config, tmp_path / "w", console)
    assert f"tuned is the adapter {config.tuned} on {config.base}" in console.file.getvalue()
    save_model(jaxeap.load_model(config.tuned, base=config.base), tmp_path / "merged", arithmetic_tokenizer())
    config.tuned = str(tmp_path / "merged")
    run_pipeline(config, tmp_path / "of_merged", console)
    ids = selection_of(tmp_path / "w" / "select").question_ids
    one, other = (scores_of(tmp_path / name / "attribute", Cell("tuned", "tuned"), ids) for name in ("w", "of_merged"))
    np.testing.assert_array_equal(one.scores, other.scores)
    for weights in ("w/weights.md", "of_merged/weights.md"):
        (row,) = [line for line in (tmp_path / weights).read_text().splitlines() if "q_proj.weight" in line]
        assert "100%" in row or "> 99.9%" in row
    assert (tmp_path / "w" / "weights.md").read_bytes() == (tmp_path / "of_merged" / "weights.md").read_bytes()


def test_an_adapter_and_the_model_under_it_are_known_by_content(config, console, tmp_path, no_figures):
    for name in ("first", "second"):
        shutil.copytree(config.base, tmp_path / name)
    config.tuned = str(write_adapter(tmp_path / "adapter", Path(config.base)))
    config.adapter_base = str(tmp_path / "first")
    run_pipeline(config, tmp_path / "w", console)
    config.adapter_base = str(tmp_path / "second")  # another place, the same bytes
    assert statuses(run_pipeline(config, tmp_path / "w", console)) == dict.fromkeys(NAMES, "reused")
    save_model(jaxeap.load_model(config.adapter_base, dtype="float32"), tmp_path / "second", arithmetic_tokenizer())
    assert statuses(run_pipeline(config, tmp_path / "w", console)) == dict.fromkeys(NAMES, "reused")
    changed = Decoder.random(jaxeap.load_model(config.base).config, 7)
    save_model(changed, tmp_path / "second", arithmetic_tokenizer())
    assert statuses(run_pipeline(config, tmp_path / "w", console)) == dict.fromkeys(NAMES, "made")
    write_adapter(tmp_path / "trained_on", Path(config.base), seed=1)
    shutil.copy(tmp_path / "trained_on" / "adapter_model.safetensors", config.tuned)
    assert statuses(run_pipeline(config, tmp_path / "w", console)) == dict.fromkeys(NAMES, "made")


def test_findings_about_the_vocabulary_are_said_and_kept(config, console, tmp_path, no_figures):
    tuned = shutil.copytree(config.tuned, tmp_path / "tuned")
    settings = json.loads((tuned / "tokenizer_config.json").read_text())
    (tuned / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": "{{ messages }}"}))
    config.tuned = str(tuned)
    run_pipeline(config, tmp_path / "w", console)
    finding = "chat templates differ: only tuned has one"
    assert f"warning: {finding}" in console.file.getvalue()
    kept = json.loads((tmp_path / "w" / "metrics.json").read_text())["vocabulary"]
    assert kept == {"errors": [], "warnings": [finding], "notes": []}


def test_vocabularies_that_do_not_fit_end_the_run_before_it_computes(config, console, tmp_path, monkeypatch):
    tuned = shutil.copytree(config.tuned, tmp_path / "tuned")
    attributes = json.loads((tuned / "config.json").read_text())
    (tuned / "config.json").write_text(json.dumps(attributes | {"vocab_size": 31}))
    config.tuned = str(tuned)
    monkeypatch.setattr("jaxeap.pipeline.inputs.pair.load_model", None)
    with pytest.raises(ValueError, match="the vocabularies do not fit: the tokenizer of tuned has tokens"):
        run_pipeline(config, tmp_path / "w", console)


def test_converted_checkpoints_are_scored_and_their_weights_not_compared(config, console, tmp_path, no_figures):
    convert(config.tuned, tmp_path / "converted")
    config.tuned = str(tmp_path / "converted")
    run_pipeline(config, tmp_path / "w", console)
    told = (tmp_path / "w" / "weights.md").read_text()
    assert told.startswith(f"Weights were not compared: {tmp_path / 'converted'} is converted.")
