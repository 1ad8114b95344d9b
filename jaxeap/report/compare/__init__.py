"""Several finished runs side by side.

runs     what a run found, and what a comparison of runs holds; no reading of files
table    as a table in the terminal, in Markdown and for LaTeX
plot     as a figure
"""

from jaxeap.report.compare.plot import comparison_plot
from jaxeap.report.compare.runs import Axis, BeyondFirst, RunComparison, RunResult, compare_results, incomparable
from jaxeap.report.compare.table import (
    beyond_first_cells,
    beyond_first_table,
    comparison_cells,
    comparison_markdown,
    comparison_table,
)

__all__ = [
    "Axis",
    "BeyondFirst",
    "RunComparison",
    "RunResult",
    "beyond_first_cells",
    "beyond_first_table",
    "compare_results",
    "comparison_cells",
    "comparison_markdown",
    "comparison_plot",
    "comparison_table",
    "incomparable",
]
