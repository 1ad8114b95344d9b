import subprocess
import sys

import matplotlib as mpl
import numpy as np
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


def test_three_figures_with_something_on_them(finished, tmp_path):
    settings = dict(mpl.rcParams)
    paths = write_figures(tmp_path / "figures", *arguments(finished))
    assert [path.name for path in paths] == ["edge_heat_maps.png", "score_distribution.png", "layer_intensity.png"]
    assert sorted(tmp_path.glob("figures/*")) == sorted(paths)
    for path in paths:
        pixels = image.imread(path)[..., :3]
        assert pixels.shape[1] == 1440 and pixels.shape[0] > 600
        assert len(np.unique(pixels @ [1.0, 256.0, 65536.0])) > 50  # colours
    assert dict(mpl.rcParams) == settings


def test_the_same_results_give_the_same_bytes(finished, tmp_path):
    first, second = (write_figures(tmp_path / name, *arguments(finished)) for name in ("a", "b"))
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()


def test_pyplot_with_its_global_state_is_never_imported():
    code = "import sys, jaxeap.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
