"""The two models' circuits, what differs between them, and how faithful each is in either model.

A circuit of n edges is the n strongest ones, unpruned: so both models' have just as many, and chance is that of random
sets of this size. How many of the edges lie on a path embed -> ... -> logits stands beside it, as "connected".
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jaxeap.attribution.circuits import Circuit, prune
from jaxeap.attribution.circuits.selection import RankedBy, edge_strength, top_order
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.metrics.circuit_contrast import (
    Change,
    changes_of,
    circuit_nodes,
    halves_overlap,
    listed_changes,
    node_strengths,
    overlap,
    rank_correlation,
)
from jaxeap.metrics.layer_flow import ALL, Flow, FlowChange, flow_changes, flow_names, flows
from jaxeap.models.families import read_model_config
from jaxeap.parallel import hosts
from jaxeap.pipeline.inputs.pair import ROLES, sources_of
from jaxeap.pipeline.null_pair import why_left_out
from jaxeap.pipeline.scoring.score_means import ScoreMeans, mean_scores
from jaxeap.pipeline.settings import SCORING, SCORING_TUNING
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.attribute import OWN_TEXT
from jaxeap.pipeline.stages.circuit_faithfulness import Measured, measure, measured
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json, read_tensors, write_json, write_tensors
from jaxeap.tasks.selection import Role

CIRCUITS, MASKS = "circuits.json", "circuits.safetensors"
BOOTSTRAP = ("bootstrap.resamples", "bootstrap.seed", "bootstrap.confidence")
GRID = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Shares of all edges at which faithfulness is measured beside the sizes asked for, to find the matched ones."""
FOLDS = 8

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Strengths = Mapping[Role, Array]


class ShownCircuits(NamedTuple):
    """The circuits that are listed, drawn and exported: [S, J] bool each, and [S, J] float64 strength of every edge."""

    base: BoolArray
    tuned: BoolArray
    base_strength: Array
    tuned_strength: Array


def circuits_of(folder: Path) -> dict[str, Any] | None:
    """circuits.json of the finished stage's folder; None where the stage was switched off."""
    return read_json(folder / CIRCUITS) if (folder / CIRCUITS).is_file() else None


def shown_circuits_of(folder: Path) -> ShownCircuits | None:
    """The circuits to show, from the finished stage's folder; None where the stage was switched off."""
    if not (folder / MASKS).is_file():
        return None
    tensors, metadata = read_tensors(folder / MASKS)
    names = [f"{role}_{metadata['shown']}" for role in ROLES] + [f"{role}_strength" for role in ROLES]
    return ShownCircuits(*(tensors[name] for name in names))


def contrast_circuits(run: StageRun) -> None:
    """Writes circuits.json and circuits.safetensors; nothing where `circuits.sizes` is empty."""
    settings = run.config.circuits
    if not settings.sizes:
        run.say(f"circuits: switched off {why_left_out(run.folder, 'config.circuits.sizes is empty')}")
        return
    selection = selection_of(run.inputs["select"])
    config = read_model_config(sources_of(run.config)["base"].model_folder)
    graph = EdgeGraph.for_config(config, run.config.attribution.level)
    folds = _folds(len(selection.question_ids), run.config.bootstrap.seed)
    means = {cell.model: _means(run, graph, cell.name, selection.question_ids, folds) for cell in OWN_TEXT}
    strengths = {
        role: hosts.array_from_first(lambda role=role: _strength(means[role], graph, settings.ranked_by))  # type: ignore[misc]
        for role in ROLES
    }

    asked = asked_sizes(settings.sizes, graph.num_edges)
    shown = shown_size(asked, settings.max_edges)
    grid = sorted({*asked, shown, *asked_sizes(GRID, graph.num_edges)})
    circuits = {(role, size): each for role in ROLES for size, each in _strongest(strengths[role], graph, grid)}
    for role in ROLES:
        measure(run, role, selection, list(circuits.values()))
    if not hosts.is_first():
        return
    found = {role: measured(run, role, list(circuits.values())) for role in ROLES}
    compare = _Comparison(strengths, circuits, {key: place for place, key in enumerate(circuits)}, found)
    halves = _halves(means, graph, settings.ranked_by, asked, folds, settings.splits)
    content = {
        "graph": {"level": graph.level, "edges": graph.num_edges},
        "ranked_by": settings.ranked_by,
        "ablation": run.config.attribution.ablation,
        "confidence": run.config.bootstrap.confidence,
        "questions": len(selection.question_ids),
        "examples": min(settings.examples, len(selection.question_ids)),
        "rank_correlation": rank_correlation(strengths["base"][graph.mask], strengths["tuned"][graph.mask]),
        "matched_size": [{"edges": size} | compare.row(size, size) | {"halves": halves[size]} for size in asked],
        "matched_faithfulness": [{"target": target} | compare.matched(target) for target in settings.faithfulness],
        "layer_flow": _layer_flow(run, graph, means),
        "cross_evaluation": compare.cross_evaluation(),
        "losses": {role: {"whole": each.whole, "none": each.none} for role, each in found.items()},
        "shown": shown,
        **compare.listed(shown),
    }
    tensors: dict[str, np.ndarray] = {
        f"{role}_{size}": circuits[role, size].edges for role in ROLES for size in {*asked, shown}
    }
    tensors |= {f"{role}_strength": strengths[role] for role in ROLES}
    write_tensors(run.folder / MASKS, tensors, {"shown": shown, "sizes": asked, "level": graph.level})
    write_json(run.folder / CIRCUITS, content)
    for row in content["matched_size"]:
        run.say(
            f"circuits of {row['edges']} edges: {row['kept']} in both, {row['appear']} appear, {row['vanish']} vanish; "
            f"Jaccard {row['jaccard']:.2f}, by chance {row['chance']:.2f}"
        )


def asked_sizes(sizes: Sequence[float], edges: int) -> list[int]:
    """Numbers of edges, ascending, each once: a whole number is one already, any other is a share of all edges."""
    return sorted({min(size if isinstance(size, int) else max(1, round(size * edges)), edges) for size in sizes})


def shown_size(asked: Sequence[int], max_edges: int) -> int:
    """The largest size of at most `max_edges`; where there is none, `max_edges` itself."""
    return max((size for size in asked if size <= max_edges), default=max_edges)


@dataclasses.dataclass(frozen=True)
class _Comparison:
    """The circuits by model and size, their places among those that were run, and what came out."""

    strengths: Strengths
    circuits: Mapping[tuple[Role, int], Circuit]
    place: Mapping[tuple[Role, int], int]
    measured: Mapping[Role, Measured]

    def row(self, base_size: int, tuned_size: int) -> dict[str, Any]:
        """Base's circuit of one size against tuned's of another."""
        sizes: dict[Role, int] = {"base": base_size, "tuned": tuned_size}
        pair = {role: self.circuits[role, size] for role, size in sizes.items()}
        edges = pair["base"].graph.num_edges
        found = overlap(self.strengths["base"], self.strengths["tuned"], pair["base"].edges, pair["tuned"].edges, edges)
        models = {
            role: {
                "edges": pair[role].kept,
                "connected": prune(pair[role]).kept,
                "nodes": int(circuit_nodes(pair[role].edges).sum()),
                **self.measured[role].at(self.place[role, size]),
            }
            for role, size in sizes.items()
        }
        nodes = {change: int(members.sum()) for change, members in self.node_changes(pair)[0].items()}
        return dataclasses.asdict(found) | models | {"nodes": nodes}

    def matched(self, target: float) -> dict[str, Any]:
        """The row of either model's smallest circuit from which on faithfulness stays at the target or above it."""
        sizes = []
        for role in ROLES:
            own = {self.place[key]: key[1] for key in self.circuits if key[0] == role}
            place = self.measured[role].first_to_stay(list(own), target)
            if place is None:
                return {"base": None, "tuned": None}
            sizes.append(own[place])
        return self.row(*sizes)

    def cross_evaluation(self) -> list[dict[str, Any]]:
        """Every circuit in every model, on that model's text."""
        return [
            {"circuit_of": of, "model": model, "edges": size} | self.measured[model].at(self.place[of, size])
            for model in ROLES
            for of, size in self.circuits
        ]

    def listed(self, size: int) -> dict[str, Any]:
        """The edges and nodes of the circuits of one size by what became of them."""
        base, tuned = (self.strengths[role] for role in ROLES)
        pair = {role: self.circuits[role, size] for role in ROLES}
        graph = pair["base"].graph
        edges = listed_changes(changes_of(base, tuned, pair["base"].edges, pair["tuned"].edges), base, tuned)
        nodes, (base_nodes, tuned_nodes) = self.node_changes(pair)
        return {
            "changes": {change: [_named(graph, record) for record in records] for change, records in edges.items()},
            "node_changes": listed_changes(nodes, base_nodes, tuned_nodes, graph.sources),
        }

    def node_changes(self, pair: Mapping[Role, Circuit]) -> tuple[dict[Change, BoolArray], tuple[Array, Array]]:
        """What became of the sources, and their strengths in either circuit."""
        base, tuned = (node_strengths(self.strengths[role], pair[role].edges) for role in ROLES)
        in_base, in_tuned = (circuit_nodes(pair[role].edges) for role in ROLES)
        return changes_of(base, tuned, in_base, in_tuned), (base, tuned)


def _folds(questions: int, seed: int) -> npt.NDArray[np.int64]:
    """An even number of random folds of nearly equal size, at most `FOLDS`; one where there is a single question."""
    number = max(1, min(FOLDS, questions - questions % 2))
    return np.random.default_rng(seed).permutation(questions) % number


def _means(run: StageRun, graph: EdgeGraph, cell: str, ids: Sequence[str], folds: npt.NDArray[np.int64]) -> ScoreMeans:
    return mean_scores(
        run.inputs["attribute"] / cell, ids, folds, lambda scores: flows(scores, graph.sources, graph.destinations)
    )


def _strength(means: ScoreMeans, graph: EdgeGraph, by: RankedBy, folds: Sequence[int] | None = None) -> np.ndarray:
    """[S, J] float64, of all questions or of some folds; 0 where there is no edge."""
    whole, parts = (means.absolute, means.fold_absolute) if by == "mean_absolute" else (means.signed, means.fold_signed)
    if folds is not None:
        whole = np.average(parts[list(folds)], axis=0, weights=means.fold_counts[list(folds)])
    return np.where(graph.mask, edge_strength(whole, graph, by), 0.0)


def _strongest(strength: np.ndarray, graph: EdgeGraph, sizes: Sequence[int]) -> list[tuple[int, Circuit]]:
    """For each size the circuit of so many strongest edges."""
    order = top_order(np.where(graph.mask, strength, -np.inf), graph)
    rank = np.full(graph.mask.size, graph.mask.size)
    rank[order] = np.arange(len(order))
    return [(size, Circuit.of(rank.reshape(graph.mask.shape) < size, graph)) for size in sizes]


def _halves(
    means: Mapping[Role, ScoreMeans],
    graph: EdgeGraph,
    by: RankedBy,
    sizes: Sequence[int],
    folds: npt.NDArray[np.int64],
    splits: int,
) -> dict[int, dict[str, Any] | None]:
    """For each size, how far circuits of different halves of the questions agree; None with too few questions."""
    number = int(folds.max()) + 1
    # Every split into two halves once: the first half is the one that holds fold 0.
    possible = (
        [(0, *others) for others in itertools.combinations(range(1, number), number // 2 - 1)] if number > 1 else []
    )
    chosen = possible[:: -(-len(possible) // splits)] if splits and possible else []
    if not chosen:
        return dict.fromkeys(sizes)
    found = []
    for first in chosen:
        second = [fold for fold in range(number) if fold not in first]
        parts = [_strength(means[role], graph, by, half) for role in ROLES for half in (first, second)]
        found.append([[circuit.edges for _, circuit in _strongest(part, graph, sizes)] for part in parts])
    return {
        size: dataclasses.asdict(halves_overlap([tuple(part[place] for part in four) for four in found]))  # type: ignore[misc]
        for place, size in enumerate(sizes)
    }


def _layer_flow(run: StageRun, graph: EdgeGraph, means: Mapping[Role, ScoreMeans]) -> list[dict[str, Any]]:
    """A row a layer: |score| into it (out of the embedding), and by kind what flows into, out of and past it."""
    base, tuned = (means[role].statistics for role in ROLES)
    assert base is not None and tuned is not None
    names = flow_names(graph.sources, graph.destinations)
    changes = {change.flow: change for change in flow_changes(names, base, tuned, **dict(run.config.bootstrap))}
    rows = []
    for layer in ("embed", *dict.fromkeys(flow.layer for flow in names if flow.layer != "embed")):
        total = changes.get(Flow(layer, "into", ALL)) or changes[Flow(layer, "out_of", ALL)]
        parts: dict[str, Any] = {
            direction: {
                flow.kind: _numbers(change) for flow, change in changes.items() if flow[:2] == (layer, direction)
            }
            for direction in ("into", "out_of", "past")
        }
        rows.append({"layer": layer} | _numbers(total) | parts)
    return rows


def _numbers(change: FlowChange) -> dict[str, Any]:
    interval = None if change.interval is None else list(change.interval)
    return {"base": change.base, "tuned": change.tuned, "difference": change.difference, "interval": interval}


def _named(graph: EdgeGraph, record: Mapping[str, Any]) -> dict[str, Any]:
    nodes = {"source": graph.sources[record["row"]], "destination": graph.destinations[record["column"]]}
    return nodes | {role: record[role] for role in ROLES}


CIRCUIT_CONTRAST = Stage(
    name="circuits",
    make=contrast_circuits,
    reads=("base", "tuned", "dtype", *SCORING, *BOOTSTRAP, "circuits"),
    tuning=(*SCORING_TUNING, "adapter_base"),
    needs=("select", "attribute"),
    on_all_hosts=True,
)
