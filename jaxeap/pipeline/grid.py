"""Many experiments as one: pairs of models x sets of questions x truncation lengths, each cell a run of its own."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import rich.console

from jaxeap.parallel import hosts
from jaxeap.pipeline.planning.plan import Plan, plan_run
from jaxeap.pipeline.planning.table import grid_plan_table
from jaxeap.pipeline.runner import run_pipeline
from jaxeap.pipeline.settings import flat, require_known_keys
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.storage.artifacts import write_json
from jaxeap.pipeline.storage.disk import room_wanted
from jaxeap.pipeline.storage.workdir import open_workdir
from jaxeap.pipeline.validation import validate
from jaxeap.report.files import write_markdown_text
from jaxeap.report.grid_table import CellResult, grid_markdown, grid_table
from jaxeap.tasks.selection import EmptySelectionError

GRID = "grid"
RESULTS, TABLE = "grid.json", "table.md"

Overrides = Mapping[str, Any]
"""Settings by their dotted key, "sampling.max_new_tokens" for one, that differ from those which all cells share."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a grid."""

    pair: str
    dataset: str
    alpha: float
    config: ml_collections.ConfigDict

    @property
    def name(self) -> str:
        """Also the path of its work directory in the grid's."""
        return f"{self.pair}/{self.dataset}/alpha_{self.alpha:g}"


def grid_config(
    shared: ml_collections.ConfigDict,
    pairs: Mapping[str, Overrides],
    datasets: Mapping[str, Overrides],
    alphas: tuple[float, ...],
) -> ml_collections.ConfigDict:
    """The config of a grid: settings that all cells share, and under `grid` what differs.

    On the command line `--config.KEY=...` is for all cells, `--config.grid.pairs.NAME.KEY=...` for those of one pair,
    `--config.grid.alphas="(0.1,)"` takes other lengths, and `--config.grid.only="('PAIR/*',)"` runs some cells.

    Args:
      shared: begun with `default_config()`.
      pairs, datasets: by name; a dataset's settings go over a pair's.
      alphas: truncation lengths, as `config.selection.alpha`.

    Raises:
      ValueError: a pair or dataset names a setting that does not exist.
    """
    grid = ml_collections.ConfigDict({"pairs": {}, "datasets": {}, "alphas": tuple(alphas), "only": ()})
    for kind, entries in (("pairs", pairs), ("datasets", datasets)):
        for name, overrides in entries.items():
            require_known_keys(overrides, f"grid.{kind}.{name}")
            grid[kind][name] = ml_collections.ConfigDict(_nested(overrides))
    config = shared.copy_and_resolve_references()
    with config.unlocked():
        config[GRID] = grid
    return config


def is_grid(config: ml_collections.ConfigDict) -> bool:
    """Whether it is the config of a grid."""
    return GRID in config


def cells_of(config: ml_collections.ConfigDict) -> list[Cell]:
    """The cells that are to run, by pair, dataset and length; ValueError where there is none."""
    grid, cells = config[GRID], []
    for alpha in grid.alphas:
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < math.inf:
            raise ValueError(f"config.grid.alphas holds {alpha!r}; give numbers above 0, such as (0.1, 0.3)")
    for pattern in grid.only:
        if not isinstance(pattern, str):
            raise ValueError(f"config.grid.only holds {pattern!r}; give patterns of cells, such as ('PAIR/*',)")
    for pair, pair_overrides in grid.pairs.items():
        for dataset, dataset_overrides in grid.datasets.items():
            for alpha in grid.alphas:
                cell = Cell(pair, dataset, float(alpha), _cell_config(config, pair_overrides, dataset_overrides, alpha))
                if not grid.only or any(fnmatch.fnmatchcase(cell.name, pattern) for pattern in grid.only):
                    cells.append(cell)
    if not cells:
        raise ValueError(
            f"no cell is left: {len(grid.pairs)} pairs, {len(grid.datasets)} datasets, alphas {tuple(grid.alphas)}, "
            f"only {tuple(grid.only)}; patterns are those of names such as PAIR/DATASET/alpha_0.1, with * for anything"
        )
    return cells


def plan_grid(config: ml_collections.ConfigDict, console: rich.console.Console) -> dict[str, Plan]:
    """Plans every cell, prints one table, and returns the plans by the cells' names."""
    plans = {cell.name: plan_run(cell.config) for cell in cells_of(config)}
    console.print(grid_plan_table(plans))
    answered = {name.rpartition("/")[0]: plan.answering_hours[0] for name, plan in plans.items()}
    scored = sum(plan.scoring_hours for plan in plans.values())
    console.print(
        f"{len(plans)} cells: answering {sum(answered.values()):.2f} h (once for all truncation lengths of a pair and "
        f"dataset), scoring {scored:.2f} h, at supposed rates; `--dry_run` of a cell's own config tells more",
        soft_wrap=True,
        highlight=False,
    )
    for problem in dict.fromkeys(problem for plan in plans.values() for problem in plan.problems):
        console.print(f"does not fit: {problem}", style="bold", markup=False, highlight=False, soft_wrap=True)
    return plans


def run_grid(
    config: ml_collections.ConfigDict, workdir: str | os.PathLike[str], console: rich.console.Console | None = None
) -> list[CellResult]:
    """Runs every cell, or what of it is not done, and writes table.md and grid.json.

    Cells that differ in the truncation length alone share answers and grades, and all cells of a pair the comparison
    of its weights: each is made once. A cell that no question is left for stays empty in the table; any other error
    ends the run, and the same command goes on from there.

    Args:
      config: of `grid_config`.
      workdir: holds a work directory for each cell.
      console: where messages and the table go; standard output where it is None.

    Raises:
      ValueError, FileNotFoundError, DiskFullError: as `run_pipeline`; all cells' settings are looked at before the
        first one runs.
    """
    console = console or rich.console.Console()
    if not hosts.is_first():
        console = rich.console.Console(quiet=True)
    cells, results = cells_of(config), []
    _validate(cells)
    with room_wanted(Path(workdir)), open_workdir(workdir) as folder:
        for number, cell in enumerate(cells):
            console.rule(f"{number + 1} of {len(cells)}: {cell.name}")
            before = [folder / other.name for other in cells[:number]]
            try:
                run_pipeline(cell.config, folder / cell.name, console, siblings=before[::-1])
            except EmptySelectionError as error:
                console.print(f"{cell.name}: {error}", markup=False, highlight=False, soft_wrap=True)
                results.append(CellResult(cell.pair, cell.dataset, cell.alpha, None))
                continue
            contrast = contrast_of(folder / cell.name / "contrast")
            results.append(CellResult(cell.pair, cell.dataset, cell.alpha, contrast))
        if hosts.is_first():
            write_json(folder / RESULTS, {"cells": [result.to_json() for result in results]})
            write_markdown_text(folder / TABLE, grid_markdown(results))
    console.print()
    console.print(grid_table(results))
    console.print(f"{Path(workdir) / TABLE}, {Path(workdir) / RESULTS}", markup=False, highlight=False, soft_wrap=True)
    return results


def _validate(cells: Sequence[Cell]) -> None:
    """Refuses cells whose settings make no sense, all in one error."""
    problems: dict[str, list[str]] = {}
    for cell in cells:
        try:
            validate(cell.config)
        except ValueError as error:
            problems.setdefault(str(error), []).append(cell.name)
    if problems:
        raise ValueError("\n".join(f"{', '.join(names)}: {problem}" for problem, names in problems.items()))


def _cell_config(
    config: ml_collections.ConfigDict, pair: Overrides, dataset: Overrides, alpha: float
) -> ml_collections.ConfigDict:
    cell = ml_collections.ConfigDict({key: value for key, value in config.items() if key != GRID})
    cell = cell.copy_and_resolve_references()
    for overrides in (pair, dataset):
        cell.update_from_flattened_dict(flat(ml_collections.ConfigDict(overrides)))
    cell.selection.alpha = float(alpha)
    return cell


def _nested(overrides: Overrides) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in overrides.items():
        *groups, last = key.split(".")
        branch = nested
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[last] = value
    return nested
