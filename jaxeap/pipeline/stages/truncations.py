"""The scores at other truncation lengths, for the sensitivity to alpha."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxeap.parallel import hosts
from jaxeap.pipeline.scoring.scores import Scores, read_scores
from jaxeap.pipeline.scoring.texts import Target, Texts
from jaxeap.pipeline.settings import SCORING, SCORING_TUNING
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT, Cell, score_targets
from jaxeap.pipeline.stages.grade import verdicts_of
from jaxeap.pipeline.stages.respond import responses_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.tasks.truncation import sweep_truncation

ALPHAS = "alphas.json"


def truncations_of(folder: Path) -> list[dict[str, Any]]:
    """{"alpha", "cut_length"} of each truncation in the finished stage's folder."""
    return read_json(folder / ALPHAS)


def truncated_folder(folder: Path, alpha: float, cell: Cell) -> Path:
    """Of one cell's scores at another alpha, in the finished stage's folder."""
    return _folder(folder, alpha) / cell.name


def truncated_scores_of(folder: Path, alpha: float, cell: Cell, question_ids: list[str]) -> Scores:
    """One cell's scores at another alpha, from the finished stage's folder."""
    return read_scores(truncated_folder(folder, alpha, cell), question_ids)


def score_truncations(run: StageRun) -> None:
    """Writes alphas.json and, for each alpha, a folder of scores of each model on its own text."""
    alphas = tuple(float(alpha) for alpha in run.config.controls.alphas)
    if not alphas:
        if hosts.is_first():
            write_json(run.folder / ALPHAS, [])
        return
    answered, graded = run.inputs["respond"], run.inputs["grade"]
    selection, settings = selection_of(run.inputs["select"]), run.config.attribution
    swept = sweep_truncation(
        responses_of(answered, "base"),
        responses_of(answered, "tuned"),
        verdicts_of(graded, "base"),
        verdicts_of(graded, "tuned"),
        selection.options,
        alphas,
    )
    for cell in OWN_TEXT:
        targets = [
            Target(
                _folder(run.folder, alpha) / cell.name,
                Texts.of(each, cell.text, settings),
                f"{cell.text} text cut to {each.cut_length} tokens",
            )
            for alpha, each in zip(alphas, swept.selections, strict=True)
        ]
        main = Target(run.inputs["attribute"] / cell.name, Texts.of(selection, cell.text, settings), "")
        score_targets(run, cell.model, targets, known=[main])
    made = [
        {"alpha": alpha, "cut_length": each.cut_length} for alpha, each in zip(alphas, swept.selections, strict=True)
    ]
    if hosts.is_first():
        write_json(run.folder / ALPHAS, made)
    run.say(
        "other truncations: " + ", ".join(f"alpha {each['alpha']:g} ({each['cut_length']} tokens)" for each in made)
    )


def _folder(folder: Path, alpha: float) -> Path:
    return folder / f"alpha_{alpha:g}"


TRUNCATIONS = Stage(
    name="truncations",
    make=score_truncations,
    reads=("base", "tuned", "dtype", *SCORING, "controls.alphas"),
    tuning=(*SCORING_TUNING, "adapter_base"),
    needs=("respond", "grade", "select", "attribute"),
    on_all_hosts=True,
)
