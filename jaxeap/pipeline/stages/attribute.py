"""The score of every edge, for every selected question, each model and each model's text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.models.families import read_model_config
from jaxeap.parallel import hosts
from jaxeap.pipeline.inputs.pair import ROLES, load_next, mesh_of, sources_of
from jaxeap.pipeline.inputs.vocabulary import require_tokens_in_embedding
from jaxeap.pipeline.scoring.score import copy_equal, score_rest, unfinished
from jaxeap.pipeline.scoring.scores import Scores, discard_damaged, iterate_scores, read_scores
from jaxeap.pipeline.scoring.texts import Target, Texts
from jaxeap.pipeline.settings import SCORING, SCORING_TUNING
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.tasks.jsonl import write_jsonl
from jaxeap.tasks.selection import Role

GRAPH = "graph.json"
LOSSES = "losses.jsonl"
GRADIENT_NORMS = "gradient_norms.jsonl"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One model, scored on the answers of one of the two."""

    model: Role
    text: Role

    @property
    def name(self) -> str:
        """Of the cell's folder."""
        return f"{self.model}_on_{self.text}_text"


OWN_TEXT = (Cell("base", "base"), Cell("tuned", "tuned"))
"""The paper's comparison. The other two cells, each model on the other's text, tell model and text apart."""
CROSS_TEXT = (Cell("base", "tuned"), Cell("tuned", "base"))


@dataclasses.dataclass(frozen=True, eq=False)
class Nodes:
    """The graph by its names: S sources, J destinations, mask [S, J] True where there is an edge."""

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    mask: npt.NDArray[np.bool_]


def nodes_of(folder: Path) -> Nodes:
    """The graph of the scores in the finished stage's folder."""
    content = read_json(folder / GRAPH)
    mask = np.array([[mark == "1" for mark in row] for row in content["mask"]], bool)
    return Nodes(tuple(content["sources"]), tuple(content["destinations"]), mask)


def scores_of(folder: Path, cell: Cell, question_ids: Sequence[str]) -> Scores:
    """One cell's scores from the finished stage's folder, in the order of `question_ids`."""
    return read_scores(folder / cell.name, question_ids)


def cells_of(folder: Path) -> tuple[Cell, ...]:
    """The cells that the finished stage's folder holds: both models on their own text, and perhaps on the other's."""
    return tuple(cell for cell in (*OWN_TEXT, *CROSS_TEXT) if (folder / cell.name).is_dir())


def attribute_selected(run: StageRun) -> None:
    """Writes graph.json, losses.jsonl, gradient_norms.jsonl, and for each cell a folder of scores, a file a batch."""
    selection = selection_of(run.inputs["select"])
    folders = {role: source.model_folder for role, source in sources_of(run.config).items()}
    graph = EdgeGraph.for_config(read_model_config(folders["base"]), run.config.attribution.level)
    if hosts.is_first():
        _write_graph(run.folder / GRAPH, graph)
    texts = {role: Texts.of(selection, role, run.config.attribution) for role in ROLES}
    cells = (*OWN_TEXT, *CROSS_TEXT) if run.config.controls.cross_text else OWN_TEXT
    for cell in cells:
        rows = read_model_config(folders[cell.model]).vocab_size
        require_tokens_in_embedding(texts[cell.text].sequences, rows, _whose(run, cell))
    for own in OWN_TEXT:
        # A model's own text first: what the other wrote word for word alike is not scored twice.
        of_model = [own, *(cell for cell in cells if cell.model == own.model and cell != own)]
        targets = [Target(run.folder / cell.name, texts[cell.text], f"{cell.text} text") for cell in of_model]
        score_targets(run, own.model, targets)
    if hosts.is_first():
        _write_measured(run, cells, selection.question_ids)


def _write_measured(run: StageRun, cells: Sequence[Cell], question_ids: Sequence[str]) -> None:
    measured = {cell: _per_question(run.folder / cell.name) for cell in cells}
    for name, column in ((LOSSES, 0), (GRADIENT_NORMS, 1)):
        write_jsonl(
            run.folder / name,
            ({"question_id": id_} | {cell.name: measured[cell][id_][column] for cell in cells} for id_ in question_ids),
        )
    for cell in cells:
        mean = sum(loss for loss, _ in measured[cell].values()) / len(measured[cell])
        run.say(f"{cell.model} model on {cell.text} text: {len(measured[cell])} questions, mean loss {mean:.4g} nats")


def score_targets(run: StageRun, model: Role, targets: Sequence[Target], known: Sequence[Target] = ()) -> None:
    """Scores what is not scored yet of one model's texts, and loads the model if it must.

    Args:
      run: of the stage.
      model: which of the pair.
      targets: a text that an earlier one holds too is not scored twice.
      known: finished scores of the same model on other texts, to be taken over where they are equal.
    """
    decoder = None
    for place, target in enumerate(targets):
        if hosts.is_first():
            discard_damaged(target.folder, target.texts.ids, run.say)
            for source in (*known, *targets[:place]):
                copy_equal(target, source, run.config.attribution)
        if unfinished(target, run.config.attribution.batch_size):
            decoder = decoder or load_next(sources_of(run.config)[model], run.config.dtype, mesh_of(run.config))
            score_rest(run, target, decoder, model)


def _whose(run: StageRun, cell: Cell) -> str:
    whose = f"the {cell.model} model ({sources_of(run.config)[cell.model]})"
    if cell in CROSS_TEXT:
        whose += f", which is scored on the {cell.text} model's text unless config.controls.cross_text is False"
    return whose


def _per_question(folder: Path) -> dict[str, tuple[float, float]]:
    """Loss and gradient norm by question."""
    return {
        id_: (float(loss), float(norm))
        for shard in iterate_scores(folder)
        for id_, loss, norm in zip(shard.question_ids, shard.loss, shard.gradient_norm, strict=True)
    }


def _write_graph(path: Path, graph: EdgeGraph) -> None:
    rows = ["".join("1" if edge else "0" for edge in row) for row in graph.mask]
    write_json(path, {"level": graph.level, "sources": graph.sources, "destinations": graph.destinations, "mask": rows})


ATTRIBUTE = Stage(
    name="attribute",
    make=attribute_selected,
    reads=("base", "tuned", "dtype", *SCORING, "controls.cross_text"),
    tuning=(*SCORING_TUNING, "adapter_base"),
    needs=("select",),
    version=3,
    on_all_hosts=True,
)
