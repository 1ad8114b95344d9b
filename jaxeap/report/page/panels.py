"""The panels of the page in their order: what each is called, how to read it, what could mislead, and its data."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jaxeap.report.page import control_tables, headline, lines
from jaxeap.report.page.content import Content
from jaxeap.report.page.distributions import distribution_data
from jaxeap.report.page.kept_edges import edge_data, strongest
from jaxeap.report.page.question_values import edges_to_follow, question_data

Data = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Panel:
    """One section of the page.

    Attributes:
      name: its anchor, and its template panels/NAME.html.
      title: its heading, and in the navigation where `short` is empty.
      read: one sentence on how to read it.
      beware: one sentence on what could mislead.
      view: what the template shows; None where the run has no such result.
      data: for the scripts, by the name of the script element that holds it.
      missing: one line instead of the panel, where `view` is None.
    """

    name: str
    title: str
    short: str
    read: str
    beware: str
    view: Data | None
    data: Data = dataclasses.field(default_factory=dict)
    missing: str = ""


def panels(content: Content) -> list[Panel]:
    """All panels, those without results included."""
    builders: tuple[Callable[[Content], Panel], ...] = (
        _headline, _edges, _circuits, _circuit_contrast, _depth, _distribution, _breakdowns, _controls, _audit,
        _correlates, _enough, _weights, _provenance,
    )  # fmt: skip
    return [build(content) for build in builders]


def _headline(content: Content) -> Panel:
    return Panel(
        "headline", "What changed, and what is supported", "Verdicts",
        "A verdict speaks of these two checkpoints and questions like these; a claim counts as supported when its "
        "interval leaves 0 out on the claimed side and every required control agrees.",
        "An interval over questions says nothing of other training runs: one pair of checkpoints is no evidence for "
        "a training method.",
        headline.view(content),
    )  # fmt: skip


def _edges(content: Content) -> Panel:
    panel = Panel(
        "edges", "Where: every edge of the graph", "Edges",
        "Each cell is one edge, from the source in its row to the destination in its column; in the difference, orange "
        "edges became stronger, blue ones weaker, dots mark edges whose interval leaves 0 out, and pale cells are "
        "those whose interval holds 0.",
        "Of a hundred edges without any change about five have an interval that leaves 0 out by chance; the choice "
        "“false discovery rate” allows for that. The colour scale is linear up to the typical size "
        "and logarithmic above it, so that a few large edges do not hide the rest.",
        None, missing="No map of edges: the run has no contrast/edges.safetensors.",
    )  # fmt: skip
    if content.edges is None:
        return panel
    kept = strongest(content.edges)
    data = {"edges": edge_data(content.edges, kept)}
    if content.questions is not None:
        data["questions"] = question_data(content.questions, kept, edges_to_follow(content.edges, kept))
    return dataclasses.replace(panel, view={"edges": data["edges"]}, data=data)


def _circuits(content: Content) -> Panel:
    shown = content.edges is not None
    return Panel(
        "circuits", "The two circuits, side by side", "Circuits",
        "An edge is drawn in a model where its mean |score| reaches the threshold; the slider moves the threshold of "
        "both, colours say what became of the edge, and dashes mark a change whose interval holds 0.",
        "“Appears” means that an edge crossed the threshold, be it by a hair: look at its values before believing it. "
        "What is drawn are the strongest edges, which need not be a circuit that does the task.",
        {} if shown else None, {"circuits": {}} if shown else {},
        missing="No graphs: the run has no contrast/edges.safetensors.",
    )  # fmt: skip


def _circuit_contrast(content: Content) -> Panel:
    view = lines.circuits_view(content.circuits)
    return Panel(
        "overlap", "How much the circuits share", "Overlap",
        "At each size both circuits hold the same number of edges; overlap of 1 means the same edges, and the dotted "
        "line is what random circuits share. In the second plot every circuit comes from half of the questions: only "
        "where base and tuned share less than both models do with themselves is it more than noise.",
        "Edges near the cut change sides by noise alone, and more so with fewer questions: compare the lines of the "
        "second plot with each other, not with those of the first.",
        view, {"overlap": lines.circuits_data(content.circuits)} if view is not None else {},
        missing=content.notes.get("circuits", "No circuits were compared: the stage circuits was left out."),
    )  # fmt: skip


def _depth(content: Content) -> Panel:
    rows = lines.layers(content)
    return Panel(
        "depth", "Where in depth", "Depth",
        "Above both models, below their difference, by layer of the destination; bars are intervals, and "
        "filled points are differences whose interval leaves 0 out.",
        "Later layers have more edges, and the logits' are often far stronger than all others: compare a layer with "
        "itself in the other model, not with its neighbour.",
        {"rows": rows} if rows else None, {"depth": {"rows": rows}} if rows else {},
        missing="No results by layer in this run.",
    )  # fmt: skip


def _distribution(content: Content) -> Panel:
    data = None
    if content.edges is not None and content.questions is not None:
        data = distribution_data(content.edges, content.questions)
    return Panel(
        "distribution", "How scores are distributed", "Distribution",
        "On the left the bulk of all |scores|, on the right the tail: the share of scores at least as large as what "
        "the axis says; both axes on the right are logarithmic.",
        "Questions are pooled: a few of them can hold most of the tail.",
        None if data is None else {"distribution": data}, {} if data is None else {"distribution": data},
        missing="No distribution: the page was made without the scores, or every score is 0.",
    )  # fmt: skip


def _breakdowns(content: Content) -> Panel:
    data = lines.breakdowns(content.metrics)
    return Panel(
        "breakdowns", "By kind of edge, difficulty and position", "Breakdowns",
        "Each row is the difference of one metric within a group; filled points have an interval that leaves 0 out "
        "and, where q is given, a false discovery rate of at most 5% within the grouping.",
        "Groups differ in size, and with many groups some stand out by chance: trust q before a single interval.",
        {"groupings": list(data)} if data else None, {"breakdowns": data} if data else {},
        missing="No breakdowns in this run.",
    )  # fmt: skip


def _controls(content: Content) -> Panel:
    return Panel(
        "controls", "Controls: could it be something else?", "Controls",
        "Each control asks whether a difference has a duller cause than training: another text, a smaller loss, chance "
        "between questions, or a choice in the metric.",
        "A control that agrees rules out one cause; it does not prove that training is the cause.",
        control_tables.view(content.controls),
        missing=content.notes.get("controls", "No controls in this run: the stage controls was left out."),
    )  # fmt: skip


def _audit(content: Content) -> Panel:
    data = lines.audit(content.audit)
    return Panel(
        "audit", "Audit: are scores effects?", "Audit",
        "Each point is one edge: across what its score says, upwards what patching the edge exactly did to the loss; "
        "points on the line are scores that are effects, and axes grow like logarithms on either side of 0.",
        "A sample of edges and questions: a good agreement here is no promise for each edge.",
        {"models": data} if data else None, {"audit": data} if data else {},
        missing=content.notes.get("audit", "No audit was made: how far scores tell effects is not known."),
    )  # fmt: skip


def _correlates(content: Content) -> Panel:
    return Panel(
        "correlates", "Does it go with success?", "Correlates",
        "Rank correlations over questions between a statistic of the scores and what is known of the question; bars "
        "are intervals, filled where they leave 0 out.",
        "Association is not cause: difficulty, length and loss move together, which the logistic model only partly "
        "takes apart.",
        control_tables.correlates(content.correlates),
        missing=content.notes.get("correlates", "No correlates in this run: the stage correlates was left out."),
    )  # fmt: skip


def _enough(content: Content) -> Panel:
    data = lines.enough(content.metrics)
    return Panel(
        "enough", "How many questions are enough", "Enough?",
        "The width of each metric's interval against the number of questions, relative to the width with all of them: "
        "it shrinks like one over the square root.",
        "It extrapolates from these questions; others may be more alike, or less.",
        {"needed": data["needed"]} if data else None, {"enough": data} if data else {},
        missing="No answer in this run to how many questions would be enough.",
    )  # fmt: skip


def _weights(content: Content) -> Panel:
    data = lines.weights(content.weights)
    return Panel(
        "weights", "What changed in the weights", "Weights",
        "The share of entries that are another number, and the norm of the change over that of base, layer by layer.",
        "“Another number” counts the smallest rounding step as a change; and a small change of weights can be a large "
        "one of behaviour.",
        data, {"weights": {"layers": data["layers"]}} if data else {},
        missing=content.notes.get("weights", "Weights were not compared in this run."),
    )  # fmt: skip


def _provenance(content: Content) -> Panel:
    return Panel(
        "provenance", "Where this comes from", "Provenance",
        "Everything that is needed to make these numbers again: hashes of weights, questions and code, settings, "
        "versions, machine and times.",
        "Paths are shortened to names; the hashes are of the content, so equal hashes mean equal models and questions.",
        {
            "stages": content.stages, "settings": content.settings, "hashes": content.hashes,
            "environment": content.environment,
        },
    )  # fmt: skip
