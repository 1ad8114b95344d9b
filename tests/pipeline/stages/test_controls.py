"""The stages of the controls on a tiny pair: their files against what the library computes from the same scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

import jaxeap
from jaxeap.metrics import contrast
from jaxeap.metrics.options import MetricOptions
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.stages.attribute import Cell, nodes_of, scores_of
from jaxeap.pipeline.stages.audit import audit_of
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.stages.controls import controls_of
from jaxeap.pipeline.stages.divergence import divergences_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.stages.truncations import truncated_scores_of, truncations_of
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


def test_a_null_pair_is_made_first_and_must_be_made_alike(config, console, tmp_path, no_figures):
    config.controls.null_tuned = config.base
    run_pipeline(config, tmp_path, console)
    controls = controls_of(tmp_path / "controls")
    found, null = controls["null_pair"], contrast_of(tmp_path / "null_pair" / "contrast")
    assert [row["difference"] for row in found["rows"]] == [0.0] * len(controls["two_by_two"])
    assert found["questions"] == null.examples and found["bootstrap"]["resamples"] == config.controls.resamples
    assert found["relative_norm"] == 0 < found["relative_norm_of_pair"]
    assert "### The null pair\n\nBase against base, " in (tmp_path / "table.md").read_text()
    required = [each["name"] for each in controls["verdicts"][0]["controls"] if each["required"]]
    assert required == ["model part of the 2x2", "null by splitting", "null pair"]
    assert {outcome.status for outcome in run_pipeline(config, tmp_path, console)} == {"reused"}

    config.controls.null_tuned, config.controls.null_run = None, str(tmp_path / "null_pair")
    assert {outcome.status for outcome in run_pipeline(config, tmp_path, console)} == {"reused"}
    config.metrics.bins, config.attribution.level, config.selection.alpha = 50, "head", 0.5
    with pytest.raises(ValueError, match=r"made with another .*attribution\.level, .*selection\.alpha, metrics\.bins"):
        run_pipeline(config, tmp_path, console)
    config.controls.null_run = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"null_run: .*nowhere.* give the folder of a finished run"):
        run_pipeline(config, tmp_path, console)
