"""Stage 7: the table and the figures."""

from __future__ import annotations

import shutil

from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, nodes_of, scores_of
from jaxeap.pipeline.stages.audit import audit_of
from jaxeap.pipeline.stages.contrast import contrast_of, layers_of
from jaxeap.pipeline.stages.controls import controls_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.report import write_figures, write_markdown
from jaxeap.report.controls_table import controls_markdown
from jaxeap.report.weight_contrast import PLOT as WEIGHT_PLOT
from jaxeap.report.weight_contrast import TABLE as WEIGHT_TABLE

TABLE = "table.md"
FIGURES = "figures"


def report(run: StageRun) -> None:
    """Writes table.md, the figures, and beside them what changed in the weights."""
    selection = selection_of(run.inputs["select"])
    scored, compared = run.inputs["attribute"], contrast_of(run.inputs["contrast"])
    nodes = nodes_of(scored)
    base, tuned = (scores_of(scored, cell, selection.question_ids) for cell in OWN_TEXT)
    controls = controls_markdown(controls_of(run.inputs["controls"]), audit_of(run.inputs["audit"]))
    write_markdown(run.folder / TABLE, compared, selection.account, controls)
    write_figures(
        run.folder / FIGURES,
        base.scores,
        tuned.scores,
        nodes.mask,
        nodes.sources,
        nodes.destinations,
        layers_of(run.inputs["contrast"]),
        compared.confidence,
    )
    for path in (run.folder / WEIGHT_TABLE, run.folder / FIGURES / WEIGHT_PLOT):
        if (made := run.inputs["weights"] / path.name).is_file():  # no figure of converted checkpoints
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(made, path)


REPORT = Stage(
    name="report",
    make=report,
    reads=(),
    needs=("select", "attribute", "audit", "contrast", "weights", "controls"),
    version=3,
)
