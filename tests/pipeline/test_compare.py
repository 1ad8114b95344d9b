"""Finished work directories read and set side by side."""

import json
import shutil

import pytest

from jaxeap.pipeline.compare import compare_runs, read_run
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.stages.select import selection_of


@pytest.fixture
def runs(finished_run, tmp_path):
    """Two copies of a finished run."""
    return [shutil.copytree(finished_run, tmp_path / "runs" / name) for name in ("one", "two")]


def change(workdir, stage, **fields):
    path = workdir / stage / "stage.json"
    content = json.loads(path.read_text())
    settings = fields.pop("settings", {})
    path.write_text(json.dumps(content | fields | {"settings": content["settings"] | settings}))


def test_a_run_is_read_as_it_stands(runs):
    found = read_run(runs[0], "one")
    assert found.contrast == contrast_of(runs[0] / "contrast")
    assert list(found.questions) == selection_of(runs[0] / "select").question_ids
    assert found.settings["selection.alpha"] == 1.0
    assert found.settings["attribution.level"] == "block"
    assert len(found.settings["base"]) == 64, "a model is known by what it holds, not by its path"
    assert not any(key.startswith(("circuits", "controls", "weights", "report")) for key in found.settings)


def test_the_results_lie_beside_the_first_run(runs, console):
    for stage in ("respond", "attribute"):
        change(runs[1], stage, settings={"tuned": "f" * 64})
    found = compare_runs([str(run) for run in runs], None, console)
    folder = runs[0].parent / "compare"
    assert {path.name for path in folder.iterdir()} == {
        "compare.json", "table.md", "table.tex", "compare.png", "compare.svg", "compare.pdf",
        "compare.html",
    }  # fmt: skip
    assert json.loads((folder / "compare.json").read_text()) == json.loads(json.dumps(found.to_json()))
    assert list(found.differing) == ["tuned"] and not found.warnings
    assert "| Activation intensity | one |" in (folder / "table.md").read_text()
    assert "Activation intensity & one & " in (folder / "table.tex").read_text()
    said = console.file.getvalue()
    assert "Runs side by side" in said and f"written to {folder}" in said


def test_of_equal_runs_none_changed_more(runs, console, tmp_path):
    found = compare_runs([str(run) for run in runs], tmp_path / "out", console)
    (beyond,) = found.beyond_first
    assert [row.name for row in beyond.rows] == ["intensity", "complexity", "kurtosis", "diversity"]
    for row in beyond.rows:
        assert (row.difference, row.interval, row.drawn) == (0.0, (0.0, 0.0), "paired")
        assert row.reference == row.change == found.runs[0].contrast[row.name].difference
    assert "How much more each run changed than the first" in (tmp_path / "out" / "table.md").read_text()
    assert "Change of each run minus that of one" in (tmp_path / "out" / "compare.html").read_text()


def test_changes_of_other_kinds_of_numbers_are_not_subtracted(runs, console, tmp_path):
    change(runs[1], "contrast", settings={"metrics.bins": 7})
    (beyond,) = compare_runs([str(run) for run in runs], tmp_path / "out", console).beyond_first
    assert beyond.rows == () and "for the runs differ in metrics.bins" in beyond.missing


def test_settings_that_mislead_are_said(runs, console, tmp_path):
    change(runs[1], "select", settings={"selection.alpha": 0.5})
    change(runs[1], "attribute", version=99)
    compare_runs([str(run) for run in runs], tmp_path / "out", console)
    text = (tmp_path / "out" / "table.md").read_text()
    assert "Mind: config.selection.alpha differs (one 1.0, two 0.5): other parts of the answers count." in text
    assert "version of attribute differs (one " in text
    assert "the tuned model is the same in all runs" in text


@pytest.mark.parametrize("stage", ["contrast", "report"])
def test_a_run_that_is_not_finished_is_refused(runs, console, stage):
    change(runs[1], stage, complete=False)
    with pytest.raises(ValueError, match=rf"two is not finished \(stage {stage}\)"):
        compare_runs([str(run) for run in runs], None, console)
    assert not (runs[0].parent / "compare").exists()


def test_a_run_of_before_a_stage_was_there_is_finished(runs, console, tmp_path):
    shutil.rmtree(runs[1] / "circuits")
    assert compare_runs([str(run) for run in runs], tmp_path / "out", console)


def test_what_is_no_run_is_refused(runs, console, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such work directory"):
        compare_runs([str(runs[0]), str(tmp_path / "nowhere")], None, console)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file; give the work directory of a finished run"):
        compare_runs([str(runs[0]), str(tmp_path / "file")], None, console)
    for few in ([], [str(runs[0])]):
        with pytest.raises(ValueError, match=f"at least two finished runs, got {len(few)}"):
            compare_runs(few, None, console)
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="other is not a work directory"):
        compare_runs([str(runs[0]), str(tmp_path / "other")], None, console)


def test_nothing_else_is_overwritten(runs, console, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxeap.pipeline.compare.write_figure", lambda *arguments: ())
    third = shutil.copytree(runs[0], tmp_path / "runs" / "three")
    pair = [str(run) for run in runs]
    compare_runs(pair, tmp_path / "out", console)
    compare_runs(pair[::-1], tmp_path / "out", console)  # The same runs: made again.
    with pytest.raises(ValueError, match=r"holds a comparison of other runs .*; give --workdir"):
        compare_runs([*pair, str(third)], tmp_path / "out", console)
    with pytest.raises(ValueError, match="holds something else than a comparison"):
        compare_runs(pair, runs[0], console)
