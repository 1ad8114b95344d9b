"""Runs an experiment by its config: everything that is not there yet, then results.json, table, figures and page."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ml_collections
import rich.console
from matplotlib.figure import Figure

from jaxeap.pipeline.execution.compilation_cache import AUTOMATIC, use_compilation_cache
from jaxeap.pipeline.settings import flat
from jaxeap.pipeline.storage.artifacts import write_json
from jaxeap.pipeline.storage.workdir import open_workdir
from jaxeap.report.files import write_text
from jaxeap.rl.experiments import intervention, rl_methods, sampling, trajectory, transfer
from jaxeap.rl.experiments.conditions import Condition, comparison_record
from jaxeap.rl.experiments.effect_table import effect_cells, markdown_table, terminal_table
from jaxeap.rl.experiments.pages import write_page
from jaxeap.rl.experiments.plan import Plan
from jaxeap.rl.experiments.settings import check_lab_config
from jaxeap.rl.experiments.walk import Outcome, walk

Walk = Callable[[Plan, Path, ml_collections.ConfigDict, rich.console.Console], Outcome]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
      title: of its page.
      plan: config -> what is trained, contrasted and probed.
      conditions: (config, outcome) -> the rows of its table.
      figures: (config, conditions, outcome) -> key -> caption and figure.
      page: (config, conditions, outcome) -> paragraphs of its page.
    """

    title: str
    plan: Callable[[ml_collections.ConfigDict], Plan]
    conditions: Callable[[ml_collections.ConfigDict, Outcome], list[Condition]]
    figures: Callable[[ml_collections.ConfigDict, Sequence[Condition], Outcome], Mapping[str, tuple[str, Figure]]]
    page: Callable[[ml_collections.ConfigDict, Sequence[Condition], Outcome], list[str]]


def _experiment(title: str, module: Any) -> Experiment:
    return Experiment(title, module.plan, module.conditions, module.figures, module.page)


EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        "rl_methods": _experiment("What each training method changes inside the model", rl_methods),
        "sampling": _experiment("What about sampling matters", sampling),
        "trajectory": _experiment("The metrics along training", trajectory),
        "intervention": _experiment("Inducing the pattern", intervention),
        "transfer": _experiment("Does the change carry over to another task", transfer),
    }
)


def run_experiment(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike[str],
    console: rich.console.Console | None = None,
    walk_plan: Walk = walk,
) -> Path:
    """Runs the experiment that a config names; the same call goes on where an interrupted one stopped.

    Args:
      config: begun with `lab_config`.
      workdir: folder for everything; is made where it is missing.
      console: where progress and the table go; standard output where it is None.
      walk_plan: trains and contrasts.

    Returns:
      The page of findings.

    Raises:
      ValueError: there is no such experiment, the config or the folder cannot be used.
    """
    console = console or rich.console.Console()
    if config.experiment not in EXPERIMENTS:
        raise ValueError(f"there is no experiment {config.experiment!r}; there are {', '.join(EXPERIMENTS)}")
    check_lab_config(config)
    experiment = EXPERIMENTS[config.experiment]
    plan = experiment.plan(config)
    with open_workdir(workdir) as folder:
        use_compilation_cache(AUTOMATIC)
        outcome = walk_plan(plan, folder, config, console)
        found = experiment.conditions(config, outcome)
        write_json(folder / "results.json", results(config, found, outcome))
        cells = effect_cells(found)
        write_text(folder / "table.md", f"# {experiment.title}\n\n{markdown_table(cells)}\n")
        console.print(terminal_table(experiment.title, cells, "relative change; number of seeds: " + str(config.seeds)))
        page = write_page(
            Path(config.findings or folder),
            config.experiment,
            experiment.title,
            experiment.page(config, found, outcome),
            experiment.figures(config, found, outcome),
        )
    for path, what in ((Path(workdir) / "results.json", "every number"), (page, "the findings")):
        console.print(f"{path}: {what}", markup=False, highlight=False, soft_wrap=True)
    return page


def results(config: ml_collections.ConfigDict, found: Sequence[Condition], outcome: Outcome) -> dict[str, Any]:
    """What results.json holds: the settings, and every number that tables, figures and page are made of."""
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in flat(config).items()}
    return {
        "config": settings,
        "accuracies": {
            cell: {kind: {"overall": each.overall, **each.by_level} for kind, each in kinds.items()}
            for cell, kinds in outcome.accuracies.items()
        },
        "comparisons": {name: comparison_record(each) for name, each in outcome.compared.items()},
        "probes": {name: dict(each) for name, each in outcome.probed.items()},
        "conditions": [each.to_json() for each in found],
    }
