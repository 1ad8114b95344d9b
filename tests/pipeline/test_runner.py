"""The pipeline as a whole: right numbers, and no work done twice, whatever happens on the way."""

import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
import rich.console

import jaxeap
from jaxeap.models.model import Decoder
from jaxeap.models.save import save_model
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.scoring.scores import read_scores
from jaxeap.pipeline.stages.attribute import Cell, nodes_of, scores_of
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.stages.respond import questions_of, responses_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.tasks.tokenizer import arithmetic_tokenizer
from tests.pipeline.conftest import NAMES, run_uncollected, run_undrawn, small_config_with_controls, statuses

KEPT = ("respond", "grade", "weights")
"""What does not depend on the selection."""


def contents(workdir: Path) -> dict[str, bytes]:
    """Every result by its path: all that is not hidden, put aside, or a note of the time it took."""
    return {
        str(path.relative_to(workdir)): path.read_bytes()
        for path in sorted(workdir.rglob("*"))
        if path.is_file()
        and path.name != "stage.json"
        and not any(part.startswith(".") or part == "superseded" for part in path.relative_to(workdir).parts)
    }


class Interrupted(BaseException):
    """As abrupt as a KeyboardInterrupt."""


def interrupt_at(monkeypatch: pytest.MonkeyPatch, target: str, call: int) -> None:
    """Lets the function at `target` work until its call number `call`, from 1, which is interrupted."""
    module, _, name = target.rpartition(".")
    function = getattr(__import__(module, fromlist=[name]), name)
    calls = iter(range(1, 1000))

    def interrupted(*arguments, **options):
        if next(calls) == call:
            raise Interrupted
        return function(*arguments, **options)

    monkeypatch.setattr(target, interrupted)


def test_whole_run_leaves_every_result_and_the_right_numbers(full_config, console, tmp_path):
    config = full_config
    outcomes = run_pipeline(config, tmp_path / "w", console)
    assert statuses(outcomes) == dict.fromkeys(NAMES, "made")
    workdir = tmp_path / "w"
    assert (workdir / "metrics.json").read_bytes() == (workdir / "contrast" / "metrics.json").read_bytes()
    assert "Activation intensity" in (workdir / "table.md").read_text()
    assert (workdir / "report.html").read_bytes() == (workdir / "report" / "report.html").read_bytes()
    assert (workdir / "table.tex").read_bytes() == (workdir / "report" / "table.tex").read_bytes()
    drawn = ("circuits", "diversity", "edge_heat_maps", "layer_intensity", "relative_change", "score_distribution")
    assert {path.name for path in (workdir / "report" / "figures").iterdir()} == {
        *(f"{name}.{form}" for name in drawn for form in ("png", "svg", "pdf")),
        "weights.png",
    }
    assert {path.name for path in (workdir / "exports").iterdir()} == {
        "base.eap_ig.json",
        "circuits.graphml",
        "edges.csv",
        "stage.json",
        "tuned.eap_ig.json",
    }

    questions, selection = questions_of(workdir / "respond"), selection_of(workdir / "select")
    assert len(questions) == 11
    assert selection.question_ids == [question.id for question in questions]
    for role in ("base", "tuned"):
        model = jaxeap.load_model(config[role])
        scored = scores_of(workdir / "attribute", Cell(role, role), selection.question_ids)
        for index, response in enumerate(responses_of(workdir / "respond", role)):
            tokens = np.array(response.prompt_tokens + response.answer_tokens)
            logits = np.asarray(model(tokens[None]), np.float64)[0]
            greedy = logits.argmax(axis=-1)[len(response.prompt_tokens) - 1 : -1]
            np.testing.assert_array_equal(greedy, response.answer_tokens)
            log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            surprise = [
                -log_probabilities[position - 1, tokens[position]]
                for position in range(len(response.prompt_tokens), len(tokens))
            ][: selection.cut_length]
            np.testing.assert_allclose(scored.loss[index], np.mean(surprise), rtol=1e-5)
            alone = jaxeap.attribute(
                model,
                jaxeap.Batch.from_sequences([tokens.tolist()], [(len(response.prompt_tokens), len(tokens))]),
            )
            np.testing.assert_allclose(scored.scores[index], alone.scores[0], atol=1e-6)

    base = read_scores(workdir / "attribute" / "base_on_base_text", selection.question_ids).scores
    intensity = contrast_of(workdir / "contrast")["intensity"]
    np.testing.assert_allclose(intensity.base, np.abs(base.astype(np.float64)).mean(), rtol=1e-12)
    graph = jaxeap.EdgeGraph.for_config(model.config)
    nodes = nodes_of(workdir / "attribute")
    assert (nodes.sources, nodes.destinations) == (graph.sources, graph.destinations)
    np.testing.assert_array_equal(nodes.mask, graph.mask)


def test_second_run_touches_nothing(full_config, console, tmp_path, no_figures):
    config = full_config
    run_pipeline(config, tmp_path, console)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in visible_files(tmp_path)}
    outcomes = run_pipeline(config, tmp_path, console)
    assert statuses(outcomes) == dict.fromkeys(NAMES, "reused")
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in visible_files(tmp_path)} == before
    assert all(f"{name}: reused" in console.file.getvalue() for name in NAMES)


def visible_files(workdir: Path) -> list[Path]:
    return [path for path in workdir.rglob("*") if path.is_file() and not path.name.startswith(".")]


def test_changed_alpha_runs_from_selection_on_and_keeps_the_old(config, console, tmp_path, no_figures):
    run_pipeline(config, tmp_path, console)
    before = contents(tmp_path)
    config.selection.alpha = 0.4
    outcomes = run_pipeline(config, tmp_path, console)
    assert statuses(outcomes) == dict.fromkeys(NAMES, "made") | dict.fromkeys(KEPT, "reused")
    assert "config.selection.alpha (1.0 -> 0.4)" in console.file.getvalue()
    kept = contents(tmp_path / "superseded" / "1")
    assert kept == {name: content for name, content in before.items() if name in kept}
    assert {Path(name).parts[0] for name in kept} == {
        *NAMES,
        "config.json",
        "manifest.json",
        "metrics.json",
        "table.md",
        "table.tex",
        "weights.md",
    } - {*KEPT}
    assert selection_of(tmp_path / "select").cut_length == 2

    fresh = tmp_path.parent / f"{tmp_path.name}_fresh"
    run_pipeline(config, fresh, console)
    assert contents(tmp_path) == contents(fresh)


INTERRUPTIONS = [
    ("jaxeap.pipeline.stages.respond._write_part", 2, "respond"),
    ("jaxeap.pipeline.stages.respond._write_part", 5, "respond"),
    ("jaxeap.pipeline.scoring.score.attribute", 3, "attribute"),
    ("jaxeap.pipeline.scoring.score.attribute", 14, "attribute"),
    ("jaxeap.pipeline.stages.audit.attribute", 3, "audit"),
    ("jaxeap.pipeline.scoring.score.attribute", 19, "truncations"),
    ("jaxeap.pipeline.scoring.score.attribute", 25, "bands"),
    ("jaxeap.pipeline.stages.divergence.predicting_residuals", 3, "divergence"),
    ("jaxeap.pipeline.stages.contrast.layer_intensity", 1, "contrast"),
    ("jaxeap.pipeline.stages.controls.decompose", 1, "controls"),
]
"""Function, the number of its call that is interrupted, and the stage that this is in."""


def counted(patched: pytest.MonkeyPatch, target: str, calls: list[str]) -> None:
    """Enters every call of the function at `target` in `calls`."""
    module, _, name = target.rpartition(".")
    function = getattr(__import__(module, fromlist=[name]), name)
    patched.setattr(target, lambda *arguments, **options: calls.append(target) or function(*arguments, **options))


class Whole(NamedTuple):
    """Results of a run that nobody interrupted, and how often it called each function."""

    contents: dict[str, bytes]
    calls: Counter[str]


@pytest.fixture(scope="module")
def whole(pair_folder, tmp_path_factory) -> Whole:
    folder, calls = tmp_path_factory.mktemp("whole"), []
    with pytest.MonkeyPatch.context() as patched:
        run_uncollected(patched)
        run_undrawn(patched)
        for target in {target for target, _, _ in INTERRUPTIONS}:
            counted(patched, target, calls)
        run_pipeline(small_config_with_controls(pair_folder), folder, rich.console.Console(file=io.StringIO()))
    return Whole(contents(folder), Counter(calls))


IN_EVERY_RUN = ("respond", "attribute", "contrast")
"""Of these stages an interruption is tested with every change, of the others by `make test-slow`."""


@pytest.mark.parametrize(
    ("target", "call", "continued"),
    [pytest.param(*each, marks=() if each[2] in IN_EVERY_RUN else pytest.mark.slow) for each in INTERRUPTIONS],
)
def test_interrupted_run_ends_with_the_bytes_of_an_uninterrupted_one(
    target, call, continued, full_config, whole, console, tmp_path, no_figures, monkeypatch
):
    with monkeypatch.context() as patched:
        interrupt_at(patched, target, call)
        with pytest.raises(Interrupted):
            run_pipeline(full_config, tmp_path, console)
    (tmp_path / continued / ".half.json.1.tmp").write_text("{")
    calls = []
    counted(monkeypatch, target, calls)
    outcomes = run_pipeline(full_config, tmp_path, console)
    done = NAMES.index(continued)
    assert statuses(outcomes) == (
        dict.fromkeys(NAMES[:done], "reused") | {continued: "continued"} | dict.fromkeys(NAMES[done + 1 :], "made")
    )
    assert contents(tmp_path) == whole.contents
    assert len(calls) == whole.calls[target] - (call - 1), "finished batches were computed again"
    assert not list(tmp_path.rglob("*.tmp"))


def test_damaged_result_is_made_again_to_the_same_bytes(config, console, tmp_path, no_figures):
    run_pipeline(config, tmp_path, console)
    before = contents(tmp_path)
    shard = tmp_path / "attribute" / "tuned_on_tuned_text" / "00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    (tmp_path / "respond" / "base.jsonl").unlink()
    outcomes = run_pipeline(config, tmp_path, console)
    assert statuses(outcomes) == dict.fromkeys(NAMES, "reused") | {"respond": "repaired", "attribute": "repaired"}
    assert contents(tmp_path) == before


@pytest.mark.slow
def test_batch_sizes_change_no_result_and_cause_no_work(config, console, tmp_path, no_figures):
    run_pipeline(config, tmp_path / "w", console)
    config.sampling.batch_size = config.attribution.batch_size = 7
    assert statuses(run_pipeline(config, tmp_path / "w", console)) == dict.fromkeys(NAMES, "reused")
    run_pipeline(config, tmp_path / "fresh", console)
    ids = selection_of(tmp_path / "w" / "select").question_ids
    for cell in ("base_on_base_text", "tuned_on_tuned_text"):
        one, other = (read_scores(tmp_path / name / "attribute" / cell, ids).scores for name in ("w", "fresh"))
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_model_changed_in_place_is_noticed(config, console, tmp_path, no_figures):
    for role in ("base", "tuned"):
        shutil.copytree(config[role], tmp_path / role)
        config[role] = str(tmp_path / role)
    run_pipeline(config, tmp_path / "w", console)
    model = jaxeap.load_model(config.tuned)
    weights = jax.tree.map(lambda array: array * 1.01, model.weights)
    save_model(Decoder(model.config, weights), config.tuned, arithmetic_tokenizer())
    assert statuses(run_pipeline(config, tmp_path / "w", console)) == dict.fromkeys(NAMES, "made")
    assert "config.tuned (other content)" in console.file.getvalue()


def test_moved_model_is_the_same_model(config, console, tmp_path, no_figures):
    run_pipeline(config, tmp_path / "w", console)
    shutil.copytree(config.base, tmp_path / "moved")
    config.base = str(tmp_path / "moved")
    assert statuses(run_pipeline(config, tmp_path / "w", console)) == dict.fromkeys(NAMES, "reused")


def test_config_is_kept_for_the_reader(config, console, tmp_path, no_figures):
    run_pipeline(config, tmp_path, console)
    kept = json.loads((tmp_path / "config.json").read_text())
    assert kept["selection.alpha"] == 1.0
    assert kept["base"] == config.base
