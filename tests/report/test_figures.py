import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image

from jaxeap.report.figures import write_figures


def arguments(finished):
    return (
        finished.base_scores,
        finished.tuned_scores,
        finished.mask,
        finished.sources,
        finished.destinations,
        finished.layers,
    )


NAMES = ("edge_heat_maps", "relative_change", "diversity", "score_distribution", "layer_intensity")


def test_every_figure_in_three_formats_with_something_on_it(finished, tmp_path):
    settings = dict(mpl.rcParams)
    paths = write_figures(tmp_path / "figures", *arguments(finished))
    assert [path.name for path in paths] == [f"{name}.{form}" for name in NAMES for form in ("png", "svg", "pdf")]
    assert sorted(tmp_path.glob("figures/*")) == sorted(paths)
    for path in paths[::3]:
        pixels = image.imread(path)[..., :3]
        assert pixels.shape[1] == 1440 and pixels.shape[0] > 600
        assert len(np.unique(pixels @ [1.0, 256.0, 65536.0])) > 50  # colours
    for path in paths[1::3]:
        root = ElementTree.parse(path).getroot()
        assert root.tag.endswith("svg") and len(list(root.iter())) > 100
    for path in paths[2::3]:
        assert path.read_bytes().startswith(b"%PDF")
    assert dict(mpl.rcParams) == settings


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(finished, tmp_path):
    first, second = (write_figures(tmp_path / name, *arguments(finished)) for name in ("a", "b"))
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_pyplot_with_its_global_state_is_never_imported():
    code = "import sys, jaxeap.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
