"""What people read and look at: tables and figures of finished results."""

from jaxeap.report.edge_heat_map import edge_heat_maps
from jaxeap.report.figures import write_figures
from jaxeap.report.files import write_png
from jaxeap.report.layer_intensity_plot import layer_intensity_plot
from jaxeap.report.score_distribution import score_distribution
from jaxeap.report.table import contrast_table, filter_table, markdown, write_markdown

__all__ = [
    "contrast_table",
    "edge_heat_maps",
    "filter_table",
    "layer_intensity_plot",
    "markdown",
    "score_distribution",
    "write_figures",
    "write_markdown",
    "write_png",
]
