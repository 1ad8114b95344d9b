"""The stages of the controls on a tiny pair: their files against what the library computes from the same scores."""

import importlib
import json
import shutil
import types
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

import jaxeap
from jaxeap.attribution.circuits import Circuit
from jaxeap.attribution.circuits.faithfulness import Faithfulness
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.metrics import contrast
from jaxeap.metrics.options import MetricOptions
from jaxeap.models.families import read_model_config
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.scoring.scores import iterate_scores
from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import ATTRIBUTE, Cell, attribute_selected, cells_of, nodes_of, scores_of
from jaxeap.pipeline.stages.audit import AUDIT_STAGE, audit_models, audit_of
from jaxeap.pipeline.stages.circuit_faithfulness import measure
from jaxeap.pipeline.stages.circuits import CIRCUIT_CONTRAST
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.stages.controls import controls_of
from jaxeap.pipeline.stages.divergence import DIVERGENCE, diverge, divergences_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.stages.truncations import truncated_scores_of, truncations_of
from jaxeap.pipeline.storage.artifacts import read_tensors
from jaxeap.pipeline.summary import print_summary

ROLES = ("base", "tuned")


def test_every_control_is_what_the_scores_say(finished: Path, console):
    scored, selection = finished / "attribute", selection_of(finished / "select")
    ids, mask = selection.question_ids, nodes_of(scored).mask
    controls, compared = controls_of(finished / "controls"), contrast_of(finished / "contrast")
    cells = {(m, t): scores_of(scored, Cell(m, t), ids) for m in ROLES for t in ROLES}
    means = {cell: float(np.abs(each.scores.astype(float)).mean()) for cell, each in cells.items()}

    by_metric = {entry["metric"]: entry for entry in controls["two_by_two"]}
    assert by_metric.keys() == {metric.name for metric in compared.metrics}
    for (model, text), mean in means.items():
        assert by_metric["intensity"]["cells"][f"{model}_on_{text}"] == pytest.approx(mean, rel=1e-9)
    for metric in compared.metrics:
        entry = by_metric[metric.name]
        assert entry["raw"]["value"] == metric.difference
        assert entry["model"]["value"] + entry["text"]["value"] == pytest.approx(
            metric.difference, rel=1e-12, abs=1e-15
        )

    for name, attribute in (("intensity_by_loss", "loss"), ("intensity_by_gradient_norm", "gradient_norm")):
        (row,) = [row for row in controls["normalised"] if row["metric"] == name]
        for role in ROLES:
            divisor = getattr(cells[role, role], attribute).astype(float).mean()
            assert row[role] == pytest.approx(means[role, role] / divisor, rel=1e-9)

    assert {(entry["metric"], entry["from"]) for entry in controls["null_split"]} == {
        (metric, role) for metric in by_metric for role in ROLES
    }
    assert all(entry["observed"] == compared[entry["metric"]].difference for entry in controls["null_split"])

    (cut,) = truncations_of(finished / "truncations")
    assert cut == {"alpha": 0.4, "cut_length": 2}
    pair = [truncated_scores_of(finished / "truncations", 0.4, Cell(role, role), ids).scores for role in ROLES]
    at_alpha = contrast(*pair, mask, MetricOptions(), resamples=50)
    own, other = [entry for entry in controls["sensitivity"] if entry["setting"] == "selection.alpha"]
    assert (own["value"], own["default"], other["value"], other["default"]) == (1.0, True, 0.4, False)
    for row in other["rows"]:
        assert row["difference"] == pytest.approx(at_alpha[row["metric"]].difference, rel=1e-9)
    for row in own["rows"]:
        assert row["difference"] == pytest.approx(compared[row["metric"]].difference, rel=1e-9)

    assert controls["same_text"] == sum(question.base == question.tuned for question in selection.questions)
    weights = json.loads((finished / "weights" / "weights.json").read_text())["tensors"]
    share = sum(each["changed"] for each in weights) / sum(each["entries"] for each in weights)
    assert controls["weights_changed"] == pytest.approx(share) and share > 0.9
    assert [verdict["claim"] for verdict in controls["verdicts"]] == [
        "intensity up",
        "complexity up",
        "kurtosis down",
        "diversity up",
    ]

    print_summary(finished, [], console)
    said = console.file.getvalue()
    table = (finished / "table.md").read_text()
    for text in ("Audit, base: over 5 edges", "Audit, tuned: over 5 edges", "Intensity up: ", "KL(tuned || base)"):
        assert text in table and text in said
    for text in ("Model's part", "Intensity per nat of loss", "metrics.bins=50", "selection.alpha=0.4", "Halves of"):
        assert text in table


def test_divergence_is_that_of_the_whole_distributions_on_both_texts(finished: Path, full_config):
    selection = selection_of(finished / "select")
    measured = {record["question_id"]: record for record in divergences_of(finished / "divergence")}
    assert len(measured) == 7
    models = {role: jaxeap.load_model(full_config[role]) for role in ROLES}
    for question in selection.questions:
        if question.question_id not in measured:
            continue
        for text in ROLES:
            cut = getattr(question, text)
            log_p, log_q = (
                log_softmax(np.asarray(models[role](np.array([cut.tokens])), np.float64)[0], axis=-1)[
                    cut.start - 1 : cut.stop - 1
                ]
                for role in ("tuned", "base")
            )
            expected = np.mean(np.sum(np.exp(log_p) * (log_p - log_q), axis=-1))
            assert measured[question.question_id][f"{text}_text"] == pytest.approx(expected, rel=1e-4)
    found = controls_of(finished / "controls")["divergence"]
    for text in ("base_text", "tuned_text"):
        mean = np.mean([record[text] for record in measured.values()])
        assert found[text]["value"] == pytest.approx(mean, rel=1e-12)
        assert found[text]["interval"]["low"] <= mean <= found[text]["interval"]["high"]
    assert not (finished / "divergence" / "residuals").exists()


def test_audit_is_that_of_the_stored_scores(finished: Path, full_config):
    scored, ids = finished / "attribute", selection_of(finished / "select").question_ids
    selection = selection_of(finished / "select")
    audited = audit_of(finished / "audit")["models"]
    chosen = np.sort(np.random.default_rng(0).permutation(len(ids))[:4])
    for role in ROLES:
        model, found = jaxeap.load_model(full_config[role]), audited[role]
        assert (found["edges"], found["examples"], found["ablation"]) == (5, 4, "zero")
        sequences = [selection.sequences(role)[place] for place in chosen]
        counted = [selection.counted(role)[place] for place in chosen]
        graph = jaxeap.EdgeGraph.for_config(model.config)
        edges = [(graph.sources.index(s), graph.destinations.index(d)) for s, d in found["names"]]
        batch = jaxeap.Batch.from_sequences(sequences, counted)
        exact = jaxeap.attribute(model, batch, method="exact", edges=edges)
        scores = scores_of(scored, Cell(role, role), [ids[place] for place in chosen]).scores
        for (source, destination), (score, effect) in zip(edges, found["points"], strict=True):
            assert score == pytest.approx(scores[:, source, destination].mean(dtype=float), rel=1e-6)
            assert effect == pytest.approx(np.asarray(exact.scores)[:, source, destination].mean(), abs=1e-5)
        points = np.array(found["points"])
        assert found["pearson"] == pytest.approx(np.corrcoef(points.T)[0, 1], rel=1e-9)


@pytest.fixture
def limited(monkeypatch):
    """A device that runs out of memory with more than one row, once it has done a first batch of three."""
    calls: list[int] = []

    def limit(name: str, rows_of) -> None:
        module, _, function = name.rpartition(".")
        given = getattr(importlib.import_module(module), function)

        def call(*arguments, **options):
            calls.append(rows_of(*arguments, **options))
            if calls[-1] > 1 and len(calls) > 1:
                jnp.zeros((2**50,), jnp.uint8).block_until_ready()  # JAX's own error, and nothing allocated
            return given(*arguments, **options)

        monkeypatch.setattr(name, call)

    return limit, calls


def stage_run(stage: Stage, config, finished: Path, folder: Path, console) -> StageRun:
    inputs = {name: finished / name for name in stage.needs}
    return StageRun(restricted(config, (*stage.reads, *stage.tuning)), folder, inputs, console)


def test_scoring_goes_on_in_smaller_batches_and_counts_nothing_twice(finished, full_config, tmp_path, console, limited):
    limit, calls = limited
    limit("jaxeap.pipeline.scoring.score.attribute", lambda model, batch, **_: batch.size)
    attribute_selected(stage_run(ATTRIBUTE, full_config, finished, tmp_path, console))
    ids = selection_of(finished / "select").question_ids
    shards = sum(1 for path in tmp_path.rglob("*.safetensors"))
    for cell in cells_of(finished / "attribute"):
        found, expected = scores_of(tmp_path, cell, ids), scores_of(finished / "attribute", cell, ids)
        np.testing.assert_allclose(found.scores, expected.scores, atol=2e-6)
        np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-5)
        stored = [id_ for shard in iterate_scores(tmp_path / cell.name) for id_ in shard.question_ids]
        assert sorted(stored) == sorted(ids)
    assert calls[:2] == [3, 3] and set(calls[2:]) == {1}, "the smaller batch is kept for the rest of the stage"
    assert shards >= len(calls) - 1
    said = console.file.getvalue()
    assert said.count("ran out of memory") == 1
    assert "scoring edges: a device ran out of memory; going on with 1 rows at once instead of 3" in said
    assert "FLOP/s" in said and "% padding" in said


def test_patching_goes_on_in_smaller_batches(finished, full_config, tmp_path, console, limited, monkeypatch):
    """With a stand-in for patching, whose programs take long to compile: what is tested is who gets which effect."""

    def patched(model, batch, edges, **options):
        rows = (batch.tokens * batch.mask).sum(axis=1) + float(model.weights["embedding"][2, 0])
        return types.SimpleNamespace(scores=np.einsum("b,sj->bsj", rows, np.arange(45.0).reshape(5, 9)))

    monkeypatch.setattr("jaxeap.pipeline.stages.audit.attribute", patched)
    audit_models(stage_run(AUDIT_STAGE, full_config, finished, tmp_path / "whole", console))
    limit, calls = limited
    limit("jaxeap.pipeline.stages.audit.attribute", lambda model, batch, **_: batch.size)
    audit_models(stage_run(AUDIT_STAGE, full_config, finished, tmp_path / "halved", console))
    assert calls[:2] == [3, 3] and set(calls[2:]) == {1}
    assert audit_of(tmp_path / "halved") == audit_of(tmp_path / "whole")
    assert console.file.getvalue().count("ran out of memory") == 1


def test_divergences_go_on_in_smaller_batches(finished, full_config, tmp_path, console, limited):
    limit, calls = limited
    limit("jaxeap.pipeline.stages.divergence.predicting_residuals", lambda weights, config, batch: batch.size)
    diverge(stage_run(DIVERGENCE, full_config, finished, tmp_path, console))
    assert calls[:2] == [3, 3] and set(calls[2:]) == {1}
    for found, expected in zip(*(divergences_of(f) for f in (tmp_path, finished / "divergence")), strict=True):
        assert found.pop("question_id") == expected.pop("question_id")
        assert found == pytest.approx(expected, rel=1e-4)
    assert console.file.getvalue().count("ran out of memory") == 1


def test_circuits_are_run_in_smaller_batches(finished, full_config, tmp_path, console, limited, monkeypatch):
    """With a stand-in for running them: each question's numbers must come back to its own place."""

    def run_circuits(model, batches, circuits, ablation, reference):
        tokens = np.concatenate([(batch.tokens * batch.mask).sum(axis=1) for batch in batches]).astype(np.float32)
        return Faithfulness(tuple(circuits), tokens[None] + 1, tokens, tokens + 2, "loss", ablation)

    name = "jaxeap.pipeline.stages.circuit_faithfulness.faithfulness"
    monkeypatch.setattr(name, run_circuits)
    selection = selection_of(finished / "select")
    circuits = (Circuit.full(EdgeGraph.for_config(read_model_config(Path(full_config.base)))),)
    runs = [
        stage_run(CIRCUIT_CONTRAST, full_config, finished, tmp_path / name, console) for name in ("whole", "halved")
    ]
    measure(runs[0], "base", selection, circuits)
    limit, calls = limited
    limit(name, lambda model, batches, *_: max(batch.size for batch in batches))
    calls.append(0)  # Here a first call does all batches at once.
    measure(runs[1], "base", selection, circuits)
    assert calls == [0, 3, 1]
    whole, halved = (read_tensors(run.folder / "faithfulness_base.safetensors")[0] for run in runs)
    for key in whole:
        np.testing.assert_array_equal(whole[key], halved[key])


def test_everything_switched_off_leaves_the_rest_and_decides_nothing(config, console, tmp_path, no_figures):
    config.controls.cross_text = config.controls.sensitivity = False
    config.controls.splits = 0
    run_pipeline(config, tmp_path, console)
    controls = controls_of(tmp_path / "controls")
    for name in ("two_by_two", "null_split", "sensitivity"):
        assert controls[name] == []
    assert controls["divergence"] == {"base_text": None, "tuned_text": None, "questions": 0}
    assert audit_of(tmp_path / "audit") == {"models": {}}
    assert "supported" not in [verdict["verdict"] for verdict in controls["verdicts"]]
    assert "No audit was made" in (tmp_path / "table.md").read_text()
    print_summary(tmp_path, [], console)
    assert "0.0 s, without start-up: " in console.file.getvalue()


def test_a_null_pair_is_made_first_and_must_be_made_alike(config, console, tmp_path, no_figures):
    config.controls.null_tuned = config.base
    run_pipeline(config, tmp_path, console)
    controls = controls_of(tmp_path / "controls")
    found, null = controls["null_pair"], contrast_of(tmp_path / "null_pair" / "contrast")
    assert [row["difference"] for row in found["rows"]] == [0.0] * len(controls["two_by_two"])
    assert found["questions"] == null.examples and found["bootstrap"]["resamples"] == config.controls.resamples
    assert found["relative_norm"] == 0 < found["relative_norm_of_pair"]
    assert "### The null pair\n\nBase against base, " in (tmp_path / "table.md").read_text()
    # Base against itself changed nothing, so this pair's changes go beyond it by themselves.
    compared = contrast_of(tmp_path / "contrast")
    assert [row["metric"] for row in found["beyond"]] == ["intensity", "complexity", "kurtosis", "diversity"]
    for row in found["beyond"]:
        assert (row["reference"], row["difference"]) == (0.0, row["change"])
        assert row["change"] == pytest.approx(compared[row["metric"]].difference, rel=1e-12)
    assert found["missing"] is None
    assert "| Activation intensity | " in (tmp_path / "table.md").read_text().split("This pair's change less the")[1]
    required = [each["name"] for each in controls["verdicts"][0]["controls"] if each["required"]]
    assert required == ["model part of the 2x2", "null by splitting", "null pair"]
    assert {outcome.status for outcome in run_pipeline(config, tmp_path, console)} == {"reused"}

    config.controls.null_tuned, config.controls.null_run = None, str(tmp_path / "null_pair")
    assert {outcome.status for outcome in run_pipeline(config, tmp_path, console)} == {"reused"}
    shutil.rmtree(tmp_path / "null_pair" / "attribute")
    config.controls.seed += 1
    run_pipeline(config, tmp_path, console)
    lacking = "its folder has no finished stage attribute"
    assert f"the null pair is not held against this pair: {lacking}" in console.file.getvalue().replace("\n", " ")
    (said,) = [
        each for each in controls_of(tmp_path / "controls")["verdicts"][0]["controls"] if lacking in each["detail"]
    ]
    assert (said["name"], said["agrees"], said["required"]) == ("null pair", None, True)
    assert f"was not held against the null pair's: {lacking}." in (tmp_path / "table.md").read_text()
    config.metrics.bins, config.attribution.level, config.selection.alpha = 50, "head", 0.5
    with pytest.raises(ValueError, match=r"made with another .*attribution\.level, .*selection\.alpha, metrics\.bins"):
        run_pipeline(config, tmp_path, console)
    config.controls.null_run = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"null_run: .*nowhere.* give the folder of a finished run"):
        run_pipeline(config, tmp_path, console)
