"""What the tables of controls and correlates show, each row with its strip."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from jaxeap.report.controls_table import beyond_null_note, intervals_note, null_pair_note
from jaxeap.report.page.strip import common_limit, own_strip, strip
from jaxeap.report.page.wording import bounds

PARTS = ("raw", "model", "text", "interaction")
Rows = list[dict[str, Any]]


def view(controls: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The controls, each in a form of its own; an empty list or None where one was not made."""
    if controls is None:
        return None
    titles = {entry["metric"]: entry["title"] for entry in controls.get("two_by_two") or []}
    divergence = controls.get("divergence") or {}
    return {
        "two_by_two": [two_by_two(entry) for entry in controls.get("two_by_two") or []],
        "same_text": controls.get("same_text"),
        "normalised": with_strips(controls.get("normalised") or []),
        "null_split": null_splits(controls.get("null_split") or [], titles),
        "sensitivity": sensitivity(controls.get("sensitivity") or []),
        "divergence": [(text, divergence[text]) for text in ("base_text", "tuned_text") if divergence.get(text)],
        "null_pair": null_pair(controls.get("null_pair")),
        "intervals": intervals_note(controls) if "bootstrap" in controls else None,
        "weights_changed": controls.get("weights_changed"),
    }


def two_by_two(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The four cells and the parts of the difference on one scale."""
    parts = {part: (entry[part]["value"], bounds(entry[part]["interval"])) for part in PARTS}
    limit = common_limit(parts.values())
    return dict(entry) | {"strips": {part: strip(*found, limit) for part, found in parts.items()}}


def with_strips(rows: Iterable[Mapping[str, Any]]) -> Rows:
    """Metric rows, each with a strip on a scale of its own, for their units differ."""
    found = []
    for row in rows:
        found.append(dict(row) | {"strip": own_strip(row["difference"], row["interval"])})
    return found


def null_pair(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the null pair was, its rows, and how much more this pair changed."""
    if found is None:
        return None
    return {
        "note": null_pair_note(found),
        "rows": with_strips(found["rows"]),
        "beyond_note": beyond_null_note(found),
        "beyond": with_strips(found["beyond"]),
    }


def null_splits(entries: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Rows:
    """Each metric's observed difference against what chance alone makes; `beyond` where it lies outside."""
    found: Rows = []
    order = list(dict.fromkeys(entry["metric"] for entry in entries))
    for entry in sorted(entries, key=lambda entry: order.index(entry["metric"])):
        null = None if entry["low"] is None else (entry["low"], entry["high"])
        observed = entry["observed"]
        limit = common_limit([(observed, null)])
        beyond = null is not None and observed is not None and not null[0] <= observed <= null[1]
        found.append(
            dict(entry)
            | {"title": titles.get(entry["metric"], entry["metric"].replace("_", " ")), "null": null}
            | {
                "strip": strip(observed, null, limit),
                "beyond": beyond,
                "first": not found or found[-1]["metric"] != entry["metric"],
            }
        )
    return found


def sensitivity(entries: Iterable[Mapping[str, Any]]) -> Rows:
    """By setting and metric: the difference under each value of the setting, on one scale."""
    found = []
    for setting, group in groupby(entries, key=lambda entry: entry["setting"]):
        values = list(group)
        for place, row in enumerate(values[0]["rows"]):
            rows = [entry["rows"][place] for entry in values]
            # entries and definitions change the unit, so each is seen against its own base
            relative = [_against_base(each) for each in rows]
            limit = common_limit(relative)
            found.append(
                {
                    "setting": setting,
                    "title": row["title"],
                    "values": [
                        {
                            "value": entry["value"],
                            "default": entry["default"],
                            "relative": value,
                            "interval": interval,
                            "strip": strip(value, interval, limit),
                        }
                        for entry, (value, interval) in zip(values, relative, strict=True)
                    ],
                }
            )
    return found


def correlates(content: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Rank correlations by model and statistic, the logistic models, and the numbers of each class."""
    if content is None or not (content.get("associations") or content.get("logistic")):
        return None
    associations = [
        dict(row) | {"strip": strip(row["spearman"], row["interval"], 1.0)} for row in content.get("associations") or []
    ]
    logistic = content.get("logistic") or []
    limit = common_limit((row["coefficient"], bounds(row["interval"])) for row in logistic)
    return {
        "associations": associations,
        "logistic": [dict(row) | {"strip": strip(row["coefficient"], row["interval"], limit)} for row in logistic],
        "classes": content.get("classes") or {},
    }


def _against_base(row: Mapping[str, Any]) -> tuple[float | None, tuple[float, float] | None]:
    base, interval = row["base"], bounds(row["interval"])
    if not base or row["difference"] is None:
        return None, None
    return row["difference"] / abs(base), None if interval is None else (
        interval[0] / abs(base),
        interval[1] / abs(base),
    )
