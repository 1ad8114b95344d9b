"""Edges and circuits as files for other tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxeap.attribution.circuits.pruning import sources_fed
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.metrics.circuit_contrast import changes_of
from jaxeap.models.config import ModelConfig
from jaxeap.models.families import read_model_config
from jaxeap.pipeline.inputs.pair import ROLES, sources_of
from jaxeap.pipeline.scoring.score_means import mean_scores
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT
from jaxeap.pipeline.stages.circuits import ShownCircuits, shown_circuits_of
from jaxeap.pipeline.stages.contrast import edges_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import write_json
from jaxeap.report.exports import EapIgShape, eap_ig_graph, write_edges_csv, write_graphml

EDGES, GRAPHML = "edges.csv", "circuits.graphml"
MEANS = ("base", "tuned", "difference", "base_signed", "tuned_signed")


def export(run: StageRun) -> None:
    """Writes edges.csv, base.eap_ig.json, tuned.eap_ig.json and circuits.graphml, as far as they are asked for."""
    settings = run.config.exports
    shown = shown_circuits_of(run.inputs["circuits"])
    if settings.graphs and shown is None:
        run.say("exports: no graphs, since config.circuits.sizes is empty")
    if not settings.edges and (shown is None or not settings.graphs):
        return
    config = read_model_config(sources_of(run.config)["base"].model_folder)
    graph = EdgeGraph.for_config(config, run.config.attribution.level)
    columns = edge_columns(run.inputs["contrast"], run.inputs["attribute"], run.inputs["select"])
    if shown is not None:
        columns |= _circuit_columns(shown)
    if settings.edges:
        write_edges_csv(run.folder / EDGES, graph.sources, graph.destinations, graph.mask, columns)
    if settings.graphs and shown is not None:
        listed = strongest_edges(shown, graph.mask, settings.max_edges)
        for role, circuit in zip(ROLES, (shown.base, shown.tuned), strict=True):
            content = eap_ig_graph(
                columns[f"{role}_signed"], circuit, listed, graph.sources, graph.destinations, _shape(config, graph)
            )
            write_json(run.folder / f"{role}.eap_ig.json", content)
        feeds = [
            (graph.destinations[column], graph.sources[row])
            for column, rows in enumerate(sources_fed(graph))
            for row in rows
        ]
        write_graphml(run.folder / GRAPHML, graph.sources, graph.destinations, listed, columns, feeds)


def edge_columns(contrasted: Path, scored: Path, selected: Path) -> dict[str, npt.NDArray]:
    """[S, J] arrays: mean |score| of base, tuned and their difference, and mean score of base and tuned.

    With them interval, p- and q-value of the difference where the contrast stage has them.

    Args:
        contrasted, scored, selected: folders of the finished stages contrast, attribute and select.
    """
    if (tensors := edges_of(contrasted)) is not None:
        return {name: tensors[name] for name in (*MEANS, "low", "high", "p_value", "q_value")}
    ids = selection_of(selected).question_ids
    base, tuned = (mean_scores(scored / cell.name, ids) for cell in OWN_TEXT)
    means = (base.absolute, tuned.absolute, tuned.absolute - base.absolute, base.signed, tuned.signed)
    return {name: array.astype(np.float32) for name, array in zip(MEANS, means, strict=True)}


def strongest_edges(shown: ShownCircuits, mask: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.bool_]:
    """[S, J] bool: the edges of both circuits, and of all others the strongest in either model, up to `most` in all."""
    circuits = shown.base | shown.tuned
    strength = np.where(mask, np.maximum(shown.base_strength, shown.tuned_strength), -np.inf)
    strength[circuits] = np.inf
    chosen = np.zeros(mask.size, bool)
    chosen[np.argsort(-strength, axis=None, kind="stable")[: max(most, int(circuits.sum()))]] = True
    return chosen.reshape(mask.shape) & mask


def _circuit_columns(shown: ShownCircuits) -> dict[str, npt.NDArray]:
    change = np.full(shown.base.shape, "", dtype="<U10")
    for name, members in changes_of(shown.base_strength, shown.tuned_strength, shown.base, shown.tuned).items():
        change[members] = name
    return {"in_base": shown.base, "in_tuned": shown.tuned, "change": change}


def _shape(config: ModelConfig, graph: EdgeGraph) -> EapIgShape:
    heads, kv_heads = (config.num_heads, config.num_kv_heads) if graph.level == "head" else (1, 1)
    return EapIgShape(config.num_layers, heads, kv_heads, config.embed_dim, config.parallel_blocks)


EXPORTS = Stage(
    name="exports",
    make=export,
    reads=("base", "attribution.level", "exports"),
    tuning=("tuned", "adapter_base"),
    needs=("select", "attribute", "contrast", "circuits"),
)
