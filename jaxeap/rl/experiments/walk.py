"""Trains, contrasts and probes what a plan names and is not there yet.

WORKDIR/initial/seed1/     random weights
WORKDIR/cells/NAME/        one training run (see `jaxeap.rl.runs`)
WORKDIR/contrasts/NAME/    one contrast (a work directory as of run.py)
WORKDIR/probes/NAME.json   one probe
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_collections
import rich.console

from jaxeap.models.model import Decoder
from jaxeap.models.save import save_model
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.rl.build_pair import lab_config
from jaxeap.rl.evaluate import Accuracy
from jaxeap.rl.experiments.comparison import Compared, compare
from jaxeap.rl.experiments.data_choice import draw_data
from jaxeap.rl.experiments.plan import Cell, ModelRef, Plan, Probe
from jaxeap.rl.experiments.probe import probe_model
from jaxeap.rl.runs import step_folder, train_model
from jaxeap.rl.training_task import streams
from jaxeap.tasks.tokenizer import arithmetic_tokenizer

Train = Callable[..., Mapping[str, Accuracy]]
Compare = Callable[..., Compared]
ProbeModel = Callable[..., dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    Attributes:
      accuracies: cell -> "greedy" and "sampled" -> accuracy on the test split.
      compared: comparison -> its outcome.
      probed: probe -> quantity -> value.
    """

    accuracies: Mapping[str, Mapping[str, Accuracy]]
    compared: Mapping[str, Compared]
    probed: Mapping[str, Mapping[str, float]]


def walk(
    plan: Plan,
    workdir: Path,
    config: ml_collections.ConfigDict,
    console: rich.console.Console,
    *,
    train: Train = train_model,
    contrast: Compare = compare,
    probe: ProbeModel = probe_model,
) -> Outcome:
    """Does what a plan says; what is finished in the work directory is not done again.

    Args:
      plan: what to do.
      workdir: of the experiment.
      config: the experiment's.
      console: where progress goes.
      train, contrast, probe: do the work of one cell, comparison or probe.

    Raises:
      ValueError: the folder of a cell holds another run, as after a change of its settings.
    """
    total = len(plan.cells) + len(plan.comparisons) + len(plan.probes)
    done = 0
    start = time.monotonic()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    def count(name: str, found: str) -> None:
        nonlocal done
        done += 1
        say(f"[{done}/{total}, {(time.monotonic() - start) / 60:.1f} min] {name}: {found}")

    accuracies: dict[str, Mapping[str, Accuracy]] = {}
    for cell in plan.cells:
        accuracies[cell.name] = _train(cell, workdir, train, say if console.is_terminal else _silent)
        shares = ", ".join(f"{kind} {found.overall:.1%}" for kind, found in accuracies[cell.name].items())
        count(cell.name, f"right answers {shares}")
    compared: dict[str, Compared] = {}
    for item in plan.comparisons:
        base, tuned = model_folder(workdir, item.base), model_folder(workdir, item.tuned)
        found = compared[item.name] = contrast(item, base, tuned, workdir / "contrasts" / item.name, config)
        count(f"contrast {item.name}", found.missing or f"{found.selected} of {found.asked} questions compared")
    probed: dict[str, Mapping[str, float]] = {}
    for each in plan.probes:
        probed[each.name] = _probe(each, workdir, config, probe)
        count(f"probe {each.name}", ", ".join(f"{name} {value:.3g}" for name, value in probed[each.name].items()))
    return Outcome(accuracies, compared, probed)


def model_folder(workdir: Path, ref: ModelRef) -> Path:
    """Where a plan's model stands."""
    folder = workdir / "cells" / ref.cell
    return folder if ref.step is None else step_folder(folder, ref.step)


def _train(cell: Cell, workdir: Path, train: Train, say: Callable[[str], Any]) -> Mapping[str, Accuracy]:
    seeds = streams(cell.seed)
    base = workdir / "cells" / cell.base if cell.base is not None else _initial(workdir, cell.seed)
    return train(
        cell.method,
        base,
        workdir / "cells" / cell.name,
        draw_data(cell.data),
        seeds.order if cell.base is None else seeds.rl,
        cell.settings,
        keep_steps=cell.keep_steps,
        checkpoint_every=50 if cell.base is None else 10,
        evaluation_seed=seeds.evaluation,
        command="python -m jaxeap.rl",
        say=say,
    )


def _probe(item: Probe, workdir: Path, config: ml_collections.ConfigDict, probe: ProbeModel) -> Mapping[str, float]:
    """Probes a model, or reads what was found on the same questions; cells do not change once they are trained."""
    path = workdir / "probes" / f"{item.name}.json"
    asked = {"questions": config.contrast.questions, "num_questions": config.contrast.num_questions}
    if path.is_file() and (found := read_json(path))["asked"] == asked:
        return found["values"]
    values = probe(model_folder(workdir, item.model), model_folder(workdir, item.base), **asked)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"asked": asked, "values": values})
    return values


def _initial(workdir: Path, seed: int) -> Path:
    """The lab's decoder as it is drawn."""
    folder = workdir / "initial" / f"seed{seed}"
    if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
        tokenizer = _tokenizer()
        save_model(Decoder.random(lab_config(len(tokenizer)), streams(seed).initial), folder, tokenizer)
    return folder


@functools.cache
def _tokenizer() -> Any:
    return arithmetic_tokenizer()


def _silent(line: str) -> None:
    """Takes no notice: in a file, one line a cell is enough."""
