"""Stage 4: the score of every edge, for every selected question and each model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxeap.attribution.attribute import attribute
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.models.families import read_model_config
from jaxeap.pipeline.artifacts import read_json, write_json
from jaxeap.pipeline.batches import unfinished_batches
from jaxeap.pipeline.pair import load_next, mesh_of, sources_of
from jaxeap.pipeline.progress import progress_bar
from jaxeap.pipeline.scores import Scores, append_shard, finished_questions, iterate_scores, read_scores
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.vocabulary import require_tokens_in_embedding
from jaxeap.sampling.batching import padded_length
from jaxeap.tasks.jsonl import write_jsonl
from jaxeap.tasks.selection import Role, Selection

GRAPH = "graph.json"
LOSSES = "losses.jsonl"


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


def attribute_selected(run: StageRun) -> None:
    """Writes graph.json, losses.jsonl, and for each cell a folder of scores, a file a batch."""
    selection = selection_of(run.inputs["select"])
    graph = EdgeGraph.for_config(
        read_model_config(sources_of(run.config)["base"].model_folder), run.config.attribution.level
    )
    _write_graph(run.folder / GRAPH, graph)
    for cell in OWN_TEXT:
        _score_rest(run, cell, selection)
    losses = {cell: _losses(run.folder / cell.name) for cell in OWN_TEXT}
    write_jsonl(
        run.folder / LOSSES,
        ({"question_id": id_} | {cell.name: losses[cell][id_] for cell in OWN_TEXT} for id_ in selection.question_ids),
    )
    for cell in OWN_TEXT:
        mean = sum(losses[cell].values()) / len(losses[cell])
        run.say(f"{cell.model} model on {cell.text} text: {len(losses[cell])} questions, mean loss {mean:.4g} nats")


def _score_rest(run: StageRun, cell: Cell, selection: Selection) -> None:
    """Scores the questions that the cell's folder does not hold yet, and saves after every batch."""
    ids, sequences, counted = selection.question_ids, selection.sequences(cell.text), selection.counted(cell.text)
    finished = finished_questions(run.folder / cell.name)
    lengths = [stop for _, stop in counted]
    todo = unfinished_batches(lengths, [id_ in finished for id_ in ids], run.config.attribution.batch_size)
    if not todo:
        return
    settings = run.config.attribution
    options = {"method": settings.method, "level": settings.level, "ablation": settings.ablation}
    source = sources_of(run.config)[cell.model]
    rows = read_model_config(source.model_folder).vocab_size
    require_tokens_in_embedding(sequences, rows, f"the {cell.model} model ({source})")
    model = load_next(source, run.config.dtype, mesh_of(run.config))
    description = f"{cell.model} model on {cell.text} text: scoring edges"
    with progress_bar(run.console, description, total=sum(len(places.real) for places in todo)) as advance:
        for places in todo:
            batch = _batch([sequences[place] for place in places.filled], [counted[place] for place in places.filled])
            result = attribute(model, batch, **options)
            real = len(places.real)
            scored = Scores(
                tuple(ids[place] for place in places.real),
                np.asarray(result.scores)[:real],
                np.asarray(result.loss)[:real],
            )
            _require_finite(scored, cell, run)
            append_shard(run.folder / cell.name, scored)
            advance(real)


def _batch(sequences: Sequence[Sequence[int]], counted: Sequence[tuple[int, int]]) -> Batch:
    """A batch whose padded sizes are among few, so that few programs are compiled."""
    length = padded_length(max(stop - 1 for _, stop in counted))
    width = padded_length(max(stop - start for start, stop in counted))
    return Batch.from_sequences(sequences, counted, length=length, width=width)


def _require_finite(scored: Scores, cell: Cell, run: StageRun) -> None:
    for id_, scores, loss in zip(scored.question_ids, scored.scores, scored.loss, strict=True):
        if not (np.isfinite(loss) and np.isfinite(scores).all()):
            which = f"loss is {loss}" if not np.isfinite(loss) else "edge scores are not all finite"
            remedy = "convert or download the checkpoint again, its weights are likely damaged"
            if run.config.dtype != "float32":
                remedy = f"run with --config.dtype=float32 ({run.config.dtype} may overflow), or {remedy}"
            raise ValueError(
                f"{cell.model} model ({run.config[cell.model]}): the {which} on the {cell.text} model's answer to "
                f"question {id_!r}; {remedy}"
            )


def _losses(folder: Path) -> dict[str, float]:
    return {
        id_: float(loss)
        for shard in iterate_scores(folder)
        for id_, loss in zip(shard.question_ids, shard.loss, strict=True)
    }


def _write_graph(path: Path, graph: EdgeGraph) -> None:
    rows = ["".join("1" if edge else "0" for edge in row) for row in graph.mask]
    write_json(path, {"level": graph.level, "sources": graph.sources, "destinations": graph.destinations, "mask": rows})


ATTRIBUTE = Stage(
    name="attribute",
    make=attribute_selected,
    reads=("base", "tuned", "dtype", "attribution.method", "attribution.level", "attribution.ablation"),
    tuning=("attribution.batch_size", "adapter_base", "mesh"),
    needs=("select",),
)
