"""Stage 6: the table and the figures."""

from __future__ import annotations

from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, nodes_of, scores_of
from jaxeap.pipeline.stages.contrast import contrast_of, layers_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.report import write_figures, write_markdown

TABLE = "table.md"
FIGURES = "figures"


def report(run: StageRun) -> None:
    """Writes table.md and the figures."""
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


REPORT = Stage(name="report", make=report, reads=(), needs=("select", "attribute", "contrast"))
