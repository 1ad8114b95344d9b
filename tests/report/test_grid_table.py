"""The form of Table 1, and the published figures beside a reproduction."""

import io

import numpy as np
import pytest
import rich.console

from jaxeap.metrics.contrast import contrast
from jaxeap.report.grid_table import CellResult, grid_markdown, grid_table
from jaxeap.report.published import PUBLISHED, SOURCE, published_cell


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(20, 3, 4)).astype(np.float32)
    return contrast(base, 3 * base, np.ones((3, 4), bool), resamples=50)


def test_one_row_a_cell_and_a_star_where_the_interval_leaves_zero_out(result):
    text = grid_markdown([CellResult("grpo", "arithmetic", 0.5, result)])
    (row,) = [line for line in text.splitlines() if line.startswith("| grpo")]
    base, tuned = result["intensity"].base, result["intensity"].tuned
    assert f"| grpo | arithmetic | 0.5 | 20 | {base:.4g} to {tuned:.4g} * |" in row
    assert " *" not in row.split("|")[7], "three times the scores have the same kurtosis"
    assert SOURCE not in text


def test_published_figures_stand_under_the_cell_that_they_are_of(result):
    cell = CellResult("mistral", "math", 0.3, result)
    lines = grid_markdown([cell, CellResult("mistral", "math", 0.1, result)]).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("| mistral"))
    assert lines[place + 1] == "|  | (PPO) |  | published | 0.000449 to 0.000492 | 0.0413 to 0.286 | 335 to 265 |  |"
    assert lines[place + 2].startswith("| mistral | math | 0.1 |")
    assert SOURCE in lines[-1]
    assert cell.to_json()["published"]["kurtosis"] == [335, 265]


def test_the_four_known_cells():
    assert len(PUBLISHED) == len({(cell.pair, cell.dataset, cell.alpha) for cell in PUBLISHED}) == 4
    assert published_cell("qwen25", "college_math", 0.3).values["complexity"] == (0.123, 0.0995)
    assert published_cell("qwen25", "college_math", 0.1) is None


def test_terminal_shows_the_same_cells(result):
    console = rich.console.Console(file=io.StringIO(), width=160)
    results = [CellResult("deepseek_math", "math", 0.1, result), CellResult("x", "y", 1.0, None)]
    console.print(grid_table(results))
    said = console.file.getvalue()
    for text in ("deepseek_math", "0.0011 to 0.00131", "357 to 223", "published", "none left", "docs/reproduce.md"):
        assert text in said, text
