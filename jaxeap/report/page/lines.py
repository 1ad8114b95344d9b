"""What the plots of lines and points are drawn from: results as they stand, brought into the order of a plot."""

from collections.abc import Mapping
from typing import Any

from jaxeap.report import notation
from jaxeap.report.page.content import Content
from jaxeap.report.page.wording import bounds

Rows = list[dict[str, Any]]
DIRECTIONS = {"into": "flow into the layer", "out_of": "flow out of the layer", "past": "flow past the layer"}
BREAKDOWNS = {
    "layer": "layer of the destination",
    "destination_kind": "kind of destination",
    "source_kind": "kind of source",
    "difficulty": "difficulty of the question",
    "position": "position in the answer",
}
MOST_TENSORS = 100_000


def layers(content: Content) -> list[dict[str, Any]]:
    """Quantities by layer: the mean |score| of edges, and flows where circuits were contrasted."""
    found = []
    if rows := content.metrics.get("layer_intensity"):
        found.append(
            {
                "name": "mean |score| of the edges into a layer",
                "rows": [
                    {
                        "layer": row["layer"],
                        **{key: row[key] for key in ("base", "tuned", "difference")},
                        **{key: bounds(row[key]) for key in ("base_interval", "tuned_interval")},
                        "interval": bounds(row["difference_interval"]),
                    }
                    for row in rows
                ],
            }
        )
    flows = (content.circuits or {}).get("layer_flow") or []
    for direction, name in DIRECTIONS.items():
        rows = [(flow["layer"], flow.get(direction, {}).get("all")) for flow in flows]
        rows = [(layer, row) for layer, row in rows if row]
        if rows:
            found.append(
                {
                    "name": f"sum of |score|: {name}",
                    "rows": [
                        {"layer": layer, **{key: row[key] for key in ("base", "tuned", "difference")}}
                        | {"interval": bounds(row.get("interval")), "base_interval": None, "tuned_interval": None}
                        for layer, row in rows
                    ],
                }
            )
    return found


def breakdowns(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Grouping -> metric -> rows, one a member; groupings with a single member are left out."""
    found: dict[str, Any] = {}
    for grouping, rows in (metrics.get("breakdowns") or {}).items():
        by_metric: dict[str, dict[str, Any]] = {}
        for row in rows:
            entry = by_metric.setdefault(row["metric"], {"title": row["title"], "rows": []})
            entry["rows"].append(
                {key: row.get(key) for key in ("member", "base", "tuned", "difference", "p_value", "q_value")}
                | {"interval": bounds(row["interval"]), "examples": row.get("examples")}
            )
        if by_metric and len(next(iter(by_metric.values()))["rows"]) > 1:
            found[grouping] = {"title": BREAKDOWNS.get(grouping, grouping.replace("_", " ")), "metrics": by_metric}
    return found


def audit(content: Mapping[str, Any] | None) -> dict[str, Any]:
    """For each model the points and what their agreement is."""
    return {
        role: {
            "points": model["points"],
            "names": model.get("names"),
            **{key: model.get(key) for key in ("pearson", "spearman", "slope", "edges", "examples")},
        }
        for role, model in ((content or {}).get("models") or {}).items()
        if model.get("points")
    }


def enough(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Widths relative to the last one, with the metrics' titles."""
    by_metric = metrics.get("enough_questions") or {}
    titles = {name: row["title"] for name, row in metrics["contrast"]["metrics"].items()}
    curves, needed = {}, []
    for name, entry in by_metric.items():
        last = next((width for width in reversed(entry["width"]) if width), None)
        if last is None:
            continue
        curves[titles.get(name, name)] = {
            "examples": entry["examples"],
            "width": [None if width is None else width / last for width in entry["width"]],
        }
        needed.append({"title": titles.get(name, name), "needed": entry["needed"]})
    return {"curves": curves, "needed": needed} if curves else None


def circuits_view(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The tables of the circuit contrast; None where there are no circuits."""
    if not content or not content.get("matched_size"):
        return None
    crossed: dict[int, dict[str, Any]] = {}
    for row in content.get("cross_evaluation") or []:
        crossed.setdefault(row["edges"], {})[f"{row['circuit_of']}_{row['model']}"] = row["faithfulness"]
    sizes = {row["edges"] for row in content["matched_size"]}
    return {
        "matched_size": content["matched_size"],
        "matched_faithfulness": [
            matched_faithfulness(row, content["graph"]["edges"]) for row in content.get("matched_faithfulness") or []
        ],
        "halves": any(row.get("halves") for row in content["matched_size"]),
        "beyond_noise": [row["edges"] for row in content["matched_size"] if beyond_noise(row.get("halves") or {})],
        "crossed": [(edges, crossed[edges]) for edges in sorted(crossed) if edges in sizes or len(crossed) <= 8],
        "changes": {
            kind: (content.get("changes") or {}).get(kind, [])[:8]
            for kind in ("appear", "vanish", "strengthen", "weaken")
        },
    }


def matched_faithfulness(row: Mapping[str, Any], all_edges: int) -> dict[str, Any]:
    """How many edges each model needs; of the whole graph, which is faithful by itself, nothing is compared."""
    edges = {role: row[role]["edges"] if row[role] else None for role in ("base", "tuned")}
    compared = all(number is not None and number < all_edges for number in edges.values())
    words = {None: "none", all_edges: "none short of the whole graph"}
    found: dict[str, Any] = {role: words.get(number, f"{number:,}" if number else "") for role, number in edges.items()}
    found |= {key: row[key] if compared else notation.UNDEFINED for key in ("appear", "vanish")}
    return found | {"target": row["target"], "jaccard": row["jaccard"] if compared else None}


def beyond_noise(halves: Mapping[str, Any]) -> bool:
    """Circuits of halves agree less between the models than within either of them."""
    between, *within = (halves.get(key) for key in ("between", "within_base", "within_tuned"))
    return between is not None and all(each is not None and between < each for each in within)


def circuits_data(content: Mapping[str, Any] | None) -> dict[str, Any]:
    """Overlap of the circuits against their size."""
    rows = (content or {}).get("matched_size") or []
    keys = ("edges", "jaccard", "weighted_overlap", "rank_correlation", "chance")
    halves = [row.get("halves") or {} for row in rows]
    return {key: [row.get(key) for row in rows] for key in keys} | {
        key: [half.get(key) for half in halves] for key in ("within_base", "within_tuned", "between")
    }


def weights(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Share of changed entries and relative norm of the change, of all tensors and by layer."""
    tensors = (content or {}).get("tensors") or []
    if not tensors:
        return None
    by_layer: dict[int | None, Rows] = {}
    for tensor in tensors[:MOST_TENSORS]:
        by_layer.setdefault(tensor["layer"], []).append(tensor)
    layers = [
        {"layer": layer, **_taken_together(by_layer[layer])} for layer in sorted(k for k in by_layer if k is not None)
    ]
    return {
        "total": _taken_together(tensors) | {"dtype": tensors[0]["dtype"], "tensors": len(tensors)},
        "layers": layers,
        "notes": (content or {}).get("notes") or [],
    }


def _taken_together(tensors: Rows) -> dict[str, Any]:
    entries, changed = (sum(tensor[key] for tensor in tensors) for key in ("entries", "changed"))
    base, _, difference = (sum(column) for column in zip(*(tensor["squared_norms"] for tensor in tensors), strict=True))
    return {
        "entries": entries,
        "changed_share": changed / entries if entries else None,
        "relative_norm": (difference / base) ** 0.5 if base > 0 else None,
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
