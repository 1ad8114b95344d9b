"""What people read and look at: tables and figures of finished results."""

from jaxeap.report.circuit_plot import circuit_plot
from jaxeap.report.diversity_plot import diversity_plot
from jaxeap.report.edge_heat_map import edge_heat_maps
from jaxeap.report.figures import write_figures
from jaxeap.report.files import write_figure, write_png
from jaxeap.report.layer_intensity_plot import layer_intensity_plot
from jaxeap.report.relative_change import relative_change_map
from jaxeap.report.score_distribution import score_distribution
from jaxeap.report.table import contrast_table, filter_table, markdown, write_markdown, write_tex

__all__ = [
    "circuit_plot",
    "contrast_table",
    "diversity_plot",
    "edge_heat_maps",
    "filter_table",
    "layer_intensity_plot",
    "markdown",
    "relative_change_map",
    "score_distribution",
    "write_figure",
    "write_figures",
    "write_markdown",
    "write_png",
    "write_tex",
]
