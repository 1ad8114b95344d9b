"""What a careful reader asks of a difference between two models: controls, and the verdict on a claim under them.

Pure functions of arrays and of the metrics' statistics; docs/controls.md says what each control can show.
"""

from jaxeap.metrics.controls.levels import opposite_levels
from jaxeap.metrics.controls.normalised import normalised_intensity
from jaxeap.metrics.controls.null_split import NullSplit, null_split
from jaxeap.metrics.controls.paired import bootstrap_interval, difference_row, metric_row
from jaxeap.metrics.controls.sensitivity import AFFECTED, CLAIMED_METRICS, difference_rows, sensitivity
from jaxeap.metrics.controls.two_by_two import CELLS, Decomposition, cell_statistics, decompose
from jaxeap.metrics.controls.verdicts import CLAIMS, Claim, Evidence, judge

__all__ = [
    "AFFECTED",
    "CELLS",
    "CLAIMED_METRICS",
    "CLAIMS",
    "Claim",
    "Decomposition",
    "Evidence",
    "NullSplit",
    "bootstrap_interval",
    "cell_statistics",
    "decompose",
    "difference_row",
    "difference_rows",
    "judge",
    "metric_row",
    "normalised_intensity",
    "null_split",
    "opposite_levels",
    "sensitivity",
]
