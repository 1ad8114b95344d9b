"""Table and figure of a weight contrast."""

import dataclasses
import json
from pathlib import Path

import pytest
from rich.console import Console

from jaxeap.report.weight_contrast import weight_markdown, weight_plot, weight_table, write_weight_contrast
from jaxeap.weights import Spectrum, TensorContrast, WeightContrast


@pytest.fixture
def contrast() -> WeightContrast:
    """Two layers of 1000 entries each: one changed in half its entries along one direction, the other nowhere."""
    spectrum = Spectrum((3.0, 4.0 / 3**0.5), 9 + 16 / 3, exact=True)
    changed = TensorContrast(
        "model.layers.0.up.weight", 0, 1000, 500, (400, 30, 0), 1, (400.0, 410.0, 16.0), "bfloat16", spectrum
    )
    same = dataclasses.replace(
        changed, name="model.layers.1.up.weight", layer=1, changed=0, beyond=(0, 0, 0), beyond_tolerance=0,
        squared_norms=(400.0, 400.0, 0.0), spectrum=None,
    )  # fmt: skip
    return WeightContrast((changed, same), (1, 4, 16), 1e-5, ("only in tuned: lm_head.weight",))


def test_markdown_rows(contrast: WeightContrast):
    lines = weight_markdown(contrast).splitlines()
    rows = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in lines if line[:1] == "|"}
    assert rows["Parameters"] == [
        *("Entries", "Changed", "> 1 step", "> 4 steps", "> 16 steps", "> 1e-05"),
        *("Relative norm", "Stable rank", "Top 16"),
    ]  # fmt: skip
    assert rows["layer 0"] == ["1,000", "50.0%", "40.0%", "3.0%", "0%", "0.1%", "0.2000", "1.6", "100%"]
    assert rows["layer 1"] == ["1,000", "0%", "0%", "0%", "0%", "0%", "0", "–", "–"]
    assert rows["all parameters"][:6] == ["2,000", "25.0%", "20.0%", "1.5%", "0%", "< 0.1%"]
    assert rows["model.layers.{layer}.up.weight"] == rows["all parameters"]
    assert "- only in tuned: lm_head.weight" in lines


def test_table_in_a_terminal(contrast: WeightContrast):
    console = Console(width=160, record=True)
    console.print(weight_table(contrast))
    text = console.export_text()
    assert "layer 0" in text and "50.0%" in text and "only in tuned" in text


def test_figure_shows_every_layer(contrast: WeightContrast):
    shares, norms, ranks = weight_plot(contrast).axes
    by_name = {line.get_label(): line.get_ydata().tolist() for line in shares.lines}
    assert by_name["another number in bfloat16"] == [0.5, 0]
    assert by_name["> 4 rounding steps"] == [0.03, 0]
    assert by_name["> 1e-05 away"] == [0.001, 0]
    assert norms.lines[0].get_ydata().tolist() == [0.2, 0]
    assert [line.get_label() for line in ranks.lines] == ["up"]
    assert ranks.lines[0].get_ydata().tolist() == pytest.approx([(9 + 16 / 3) / 9])


def test_files(contrast: WeightContrast, tmp_path: Path):
    paths = write_weight_contrast(tmp_path / "new", contrast)
    assert [path.name for path in paths] == ["weights.json", "weights.md", "weights.png"]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {path.name for path in paths}
    assert json.loads(paths[0].read_text())["tensors"][0]["changed"] == 500
