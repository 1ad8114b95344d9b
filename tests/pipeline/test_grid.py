"""Grids: which cells there are, what they share, and that they are the runs that one would have started by hand."""

import json
from pathlib import Path

import pytest

from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.grid import cells_of, grid_config, is_grid, plan_grid, run_grid
from jaxeap.pipeline.settings import flat


@pytest.fixture
def grid(config):
    """One pair, once as it is and once with the models exchanged, at two truncation lengths; shapes of other tests."""
    return grid_config(
        config,
        pairs={"forth": {}, "back": {"base": config.tuned, "tuned": config.base}},
        datasets={"arithmetic": {"questions": "arithmetic:test", "sampling.seed": 7}},
        alphas=(0.4, 1.0),
    )


def test_cells_are_the_shared_settings_with_their_own(config, grid):
    assert is_grid(grid) and not is_grid(config)
    cells = {cell.name: cell for cell in cells_of(grid)}
    assert list(cells) == [f"{pair}/arithmetic/alpha_{alpha}" for pair in ("back", "forth") for alpha in ("0.4", "1")]
    expected = flat(config) | {"sampling.seed": 7, "selection.alpha": 0.4}
    assert flat(cells["forth/arithmetic/alpha_0.4"].config) == expected
    exchanged = expected | {"base": config.tuned, "tuned": config.base}
    assert flat(cells["back/arithmetic/alpha_0.4"].config) == exchanged
    assert grid.sampling.seed == 0, "the shared settings stay as they are"


def test_some_cells_by_pattern(grid):
    grid.grid.only = ("forth/*", "*/alpha_1")
    assert len(cells_of(grid)) == 3
    grid.grid.only = ("elsewhere/*",)
    with pytest.raises(ValueError, match="no cell is left: 2 pairs, 1 datasets"):
        cells_of(grid)


@pytest.mark.parametrize(("key", "values"), [("alphas", ("x",)), ("alphas", (float("nan"),)), ("only", (1,))])
def test_what_is_no_length_or_pattern_is_refused(grid, key, values):
    grid.grid[key] = values
    with pytest.raises(ValueError, match=f"config.grid.{key} holds .*; give "):
        cells_of(grid)


def test_what_is_wrong_is_said_before_anything_runs(config, grid, tmp_path, console):
    with pytest.raises(ValueError, match=r"grid.pairs.x has no setting 'sampling.max_tokens'; did you mean"):
        grid_config(config, {"x": {"sampling.max_tokens": 1}}, {"y": {}}, (1.0,))
    grid.grid.pairs.back.tuned = ""
    with pytest.raises(ValueError, match=r"back/arithmetic/alpha_0.4, back/arithmetic/alpha_1: config.tuned is not"):
        run_grid(grid, tmp_path / "w", console)
    assert not (tmp_path / "w").exists()


def test_answers_are_made_once_for_all_lengths_and_a_second_run_makes_nothing(
    grid, tmp_path, console, no_figures, monkeypatch
):
    grid.grid.only = ("forth/*",)
    results = run_grid(grid, tmp_path / "w", console)
    cells = [tmp_path / "w" / "forth" / "arithmetic" / name for name in ("alpha_0.4", "alpha_1")]
    for stage in ("respond/base.jsonl", "grade/tuned.jsonl", "weights/weights.json"):
        assert (cells[0] / stage).samefile(cells[1] / stage)
    assert not (cells[0] / "attribute/losses.jsonl").samefile(cells[1] / "attribute/losses.jsonl")

    alone = cells_of(grid)[1].config
    run_pipeline(alone, tmp_path / "alone", console)
    for result in ("metrics.json", "table.md"):
        assert (cells[1] / result).read_bytes() == (tmp_path / "alone" / result).read_bytes()

    written = json.loads((tmp_path / "w" / "grid.json").read_text())["cells"]
    assert [cell["alpha"] for cell in written] == [0.4, 1.0]
    for cell, result, folder in zip(written, results, cells, strict=True):
        assert cell["contrast"] == result.contrast.to_json()
        assert cell["contrast"] == json.loads((folder / "metrics.json").read_text())["contrast"]
        assert cell["published"] is None
    table = (tmp_path / "w" / "table.md").read_text()
    assert table.count("| forth | arithmetic |") == 2

    before = {path: path.stat().st_mtime_ns for path in files_of(tmp_path / "w")}
    monkeypatch.setattr(
        "jaxeap.pipeline.inputs.pair.load_model", lambda *_, **__: pytest.fail("a model was loaded again")
    )
    run_grid(grid, tmp_path / "w", console)
    kept = {path: path.stat().st_mtime_ns for path in files_of(tmp_path / "w") if path.name not in WRITTEN_ANEW}
    assert kept == {path: time for path, time in before.items() if path.name not in WRITTEN_ANEW}


WRITTEN_ANEW = ("grid.json", "table.md")


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def test_a_cell_without_questions_stays_empty(grid, tmp_path, console, no_figures):
    grid.grid.only = ("forth/*/alpha_1",)
    grid.selection.correctness = "both_right"  # Models that were never trained get nothing right.
    (result,) = run_grid(grid, tmp_path / "w", console)
    assert result.contrast is None
    assert "none left" in (tmp_path / "w" / "table.md").read_text()


def test_the_plan_of_a_grid_is_that_of_its_cells(grid, console):
    grid.grid.only = ("*/alpha_1",)
    plans = plan_grid(grid, console)
    assert list(plans) == ["back/arithmetic/alpha_1", "forth/arithmetic/alpha_1"]
    assert all(plan.work.questions == 11 and not plan.problems for plan in plans.values())
    assert "2 cells: answering" in console.file.getvalue()
