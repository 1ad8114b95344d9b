"""The table, the figures and the page."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from jaxeap.metrics import Contrast
from jaxeap.pipeline.scoring.score_stream import stream_of
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, nodes_of
from jaxeap.pipeline.stages.audit import audit_of
from jaxeap.pipeline.stages.circuits import shown_circuits_of
from jaxeap.pipeline.stages.contrast import contrast_of, layers_of
from jaxeap.pipeline.stages.controls import controls_of
from jaxeap.pipeline.stages.page_content import page_content
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.report import circuit_plot, write_figure, write_figures, write_markdown, write_tex
from jaxeap.report.controls_table import controls_markdown
from jaxeap.report.page import write_page
from jaxeap.report.weight_contrast import PLOT as WEIGHT_PLOT
from jaxeap.report.weight_contrast import TABLE as WEIGHT_TABLE

TABLE, TABLE_TEX = "table.md", "table.tex"
PAGE = "report.html"
FIGURES = "figures"


def report(run: StageRun) -> None:
    """Writes table.md, table.tex, weights.md; unless they are switched off the figures, and the page."""
    selection = selection_of(run.inputs["select"])
    compared = contrast_of(run.inputs["contrast"])
    controls = controls_markdown(controls_of(run.inputs["controls"]), audit_of(run.inputs["audit"]))
    write_markdown(run.folder / TABLE, compared, selection.account, controls)
    write_tex(run.folder / TABLE_TEX, compared)
    if (made := run.inputs["weights"] / WEIGHT_TABLE).is_file():
        shutil.copyfile(made, run.folder / WEIGHT_TABLE)
    if run.config.report.figures:
        _draw(run, selection.question_ids, compared)
    if run.config.report.page:
        write_page(run.folder / PAGE, page_content(run))


def _draw(run: StageRun, question_ids: Sequence[str], compared: Contrast) -> None:
    scored = run.inputs["attribute"]
    nodes = nodes_of(scored)
    base, tuned = (stream_of(scored / cell.name, question_ids) for cell in OWN_TEXT)
    write_figures(
        run.folder / FIGURES,
        base,
        tuned,
        nodes.mask,
        nodes.sources,
        nodes.destinations,
        layers_of(run.inputs["contrast"]),
        compared.confidence,
        compared.options,
    )
    if (shown := shown_circuits_of(run.inputs["circuits"])) is not None:
        write_figure(run.folder / FIGURES, "circuits", circuit_plot(*shown, nodes.sources, nodes.destinations))
    if (made := run.inputs["weights"] / WEIGHT_PLOT).is_file():  # there is none of converted checkpoints
        (run.folder / FIGURES).mkdir(exist_ok=True)
        shutil.copyfile(made, run.folder / FIGURES / WEIGHT_PLOT)


REPORT = Stage(
    name="report",
    make=report,
    reads=("base", "tuned", "report"),
    needs=(
        "respond",
        "grade",
        "select",
        "attribute",
        "audit",
        "truncations",
        "divergence",
        "bands",
        "contrast",
        "circuits",
        "weights",
        "controls",
        "correlates",
    ),
    version=5,
)
