"""Stage 7: the table, the figures and the page."""

from __future__ import annotations

import shutil

from jaxeap.pipeline.page_content import page_content
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, nodes_of, scores_of
from jaxeap.pipeline.stages.contrast import contrast_of, layers_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.report import write_figures, write_markdown
from jaxeap.report.page import write_page
from jaxeap.report.weight_contrast import PLOT as WEIGHT_PLOT
from jaxeap.report.weight_contrast import TABLE as WEIGHT_TABLE

TABLE = "table.md"
PAGE = "report.html"
FIGURES = "figures"


def report(run: StageRun) -> None:
    """Writes table.md, the figures, beside them what changed in the weights, and the page."""
    selection = selection_of(run.inputs["select"])
    scored, compared = run.inputs["attribute"], contrast_of(run.inputs["contrast"])
    nodes = nodes_of(scored)
    base, tuned = (scores_of(scored, cell, selection.question_ids) for cell in OWN_TEXT)
    write_markdown(run.folder / TABLE, compared, selection.account)
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
    if run.config.report.page:
        write_page(run.folder / PAGE, page_content(run))


REPORT = Stage(
    name="report",
    make=report,
    reads=("base", "tuned", "report"),
    needs=("respond", "grade", "select", "attribute", "contrast", "weights"),
    version=3,
)
