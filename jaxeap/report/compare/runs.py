"""What several runs found, side by side, and what besides the tuned model differs between them."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxeap.metrics.change_difference import ChangeDifference
from jaxeap.metrics.contrast import Contrast, MetricContrast

TUNED = "tuned"
"""The one setting in which runs may differ without a warning."""
MEANING = {
    "base": "differences are from different models",
    "questions": "the questions are others",
    "dtype": "the models were run in different precision",
    "selection.alpha": "other parts of the answers count",
    "attribution.level": "the graphs have different edges, and no metric means the same in both",
    "attribution.method": "the scores are of different methods",
    "attribution.ablation": "the scores are of different ablations",
    "metrics.entries": "the metrics are computed over different entries",
}
"""What a difference in a setting does to a comparison; of others the name says it."""
INCOMPARABLE = ("attribution", "metrics", "version of attribute")
"""Settings of which runs that differ have numbers of different kinds, whose changes cannot be subtracted."""
_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d+)(?P<suffix>\D*)")


@dataclasses.dataclass(frozen=True)
class RunResult:
    """One finished run.

    Attributes:
      name: for tables.
      folder: its work directory.
      base, tuned: where its models lay.
      settings: every setting on which the metrics depend, by its dotted key; models and files by a hash of what they
        hold, so that a moved model is the same one.
      contrast: what it found.
      questions: ids of the compared questions.
    """

    name: str
    folder: str
    base: str
    tuned: str
    settings: Mapping[str, Any]
    contrast: Contrast
    questions: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Axis:
    """A quantity along which the runs are ordered, and its value in each run."""

    title: str
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class BeyondFirst:
    """How much more one run changed than the first.

    Attributes:
      run: its name.
      rows: one for each metric that is compared.
      missing: why there are none; "" where there are.
    """

    run: str
    rows: tuple[ChangeDifference, ...]
    missing: str = ""


@dataclasses.dataclass(frozen=True)
class RunComparison:
    """Several runs.

    Attributes:
      runs: in the order given.
      differing: setting -> its value in each run, of those that are not the same in all; None where a run has none.
      besides: what differs besides the tuned model, in words.
      cautions: what else may mislead, in words.
      axis: where the runs are a series.
      beyond_first: of every run but the first; empty where it was not computed.
    """

    runs: tuple[RunResult, ...]
    differing: dict[str, list[Any]]
    besides: tuple[str, ...]
    cautions: tuple[str, ...]
    axis: Axis | None
    beyond_first: tuple[BeyondFirst, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that may mislead."""
        return self.besides + self.cautions

    def metric_names(self) -> dict[str, str]:
        """Name and title of every metric that some run has."""
        return {metric.name: metric.title for run in self.runs for metric in run.contrast.metrics}

    def found(self, name: str) -> list[MetricContrast | None]:
        """One metric in each run; None where a run has none of this name."""
        return [next((m for m in run.contrast.metrics if m.name == name), None) for run in self.runs]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers; metric rows under "metrics", one for each run."""
        runs = [
            {
                "name": run.name,
                "folder": run.folder,
                "base": run.base,
                "tuned": run.tuned,
                "questions": len(run.questions),
                "confidence": run.contrast.confidence,
            }
            for run in self.runs
        ]
        metrics = {
            name: [None if metric is None else metric.to_json(run.contrast.confidence) | {"run": run.name}
                   for run, metric in zip(self.runs, self.found(name), strict=True)]
            for name in self.metric_names()
        }  # fmt: skip
        axis = None if self.axis is None else {"title": self.axis.title, "values": list(self.axis.values)}
        return {
            "runs": runs,
            "metrics": metrics,
            "differing": self.differing,
            "besides": list(self.besides),
            "cautions": list(self.cautions),
            "axis": axis,
            "beyond_first": [
                {
                    "run": each.run,
                    "reference": self.runs[0].name,
                    "rows": [row.to_json(self.runs[0].contrast.confidence) for row in each.rows],
                    "missing": each.missing,
                }
                for each in self.beyond_first
            ],
        }


def compare_results(runs: Sequence[RunResult], beyond_first: Sequence[BeyondFirst] = ()) -> RunComparison:
    """Sets finished runs side by side.

    Args:
      runs: two or more.
      beyond_first: as in `RunComparison`.

    Raises:
      ValueError: fewer than two runs, or one of them twice.
    """
    if len(runs) < 2:
        raise ValueError(f"a comparison needs at least two runs, got {len(runs)}")
    if len(folders := {run.folder for run in runs}) < len(runs):
        raise ValueError(f"a run is given twice: {', '.join(run.folder for run in runs)} are {len(folders)} folders")
    differing = _differing(runs)
    return RunComparison(
        tuple(runs),
        differing,
        tuple(_besides(runs, differing)),
        tuple(_cautions(runs, differing)),
        _axis(runs, differing),
        tuple(beyond_first),
    )


def incomparable(first: RunResult, run: RunResult) -> list[str]:
    """The settings of `INCOMPARABLE` in which two runs differ."""
    keys = dict.fromkeys((*first.settings, *run.settings))
    differing = [key for key in keys if first.settings.get(key) != run.settings.get(key)]
    return [key for key in differing if any(key == each or key.startswith(f"{each}.") for each in INCOMPARABLE)]


def distinct_names(folders: Sequence[str]) -> list[str]:
    """The last part of each path, with as many parts before it as tell them all apart."""
    parts = [os.path.normpath(folder).split(os.sep) for folder in folders]
    for number in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-number:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    return list(folders)


def _differing(runs: Sequence[RunResult]) -> dict[str, list[Any]]:
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    values = {key: [run.settings.get(key) for run in runs] for key in keys}
    return {key: of_runs for key, of_runs in values.items() if any(value != of_runs[0] for value in of_runs)}


def _besides(runs: Sequence[RunResult], differing: Mapping[str, Sequence[Any]]) -> list[str]:
    said = []
    for key, values in differing.items():
        if key == TUNED:
            continue
        shown = [run.base for run in runs] if key == "base" else values
        each = ", ".join(f"{run.name} {_short(value)}" for run, value in zip(runs, shown, strict=True))
        name = key if key.startswith("version of") else f"config.{key}"
        said.append(f"{name} differs ({each})" + (f": {MEANING[key]}" if key in MEANING else ""))
    return said


def _cautions(runs: Sequence[RunResult], differing: Mapping[str, Sequence[Any]]) -> list[str]:
    said = []
    if TUNED not in differing:
        said.append("the tuned model is the same in all runs")
    common = set.intersection(*(set(run.questions) for run in runs))
    if any(len(run.questions) != len(common) for run in runs):
        counts = ", ".join(f"{run.name} {len(run.questions)}" for run in runs)
        said.append(
            f"not the same questions are compared in all runs ({counts}; {len(common)} are common to all), so that "
            "values differ even of a model that is the same; and complexity differs besides because each run's "
            "histogram has its own range"
        )
    return said


def _short(value: Any) -> str:
    return value[:8] if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else str(value)


def _axis(runs: Sequence[RunResult], differing: Mapping[str, Sequence[Any]]) -> Axis | None:
    """The one setting that differs, if it is a number; else the number in the tuned models' or the runs' names."""
    if len(differing) == 1:
        ((key, values),) = differing.items()
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            return Axis(key, tuple(map(float, values)))
    if set(differing) != {TUNED}:
        return None
    for names in ([os.path.basename(os.path.normpath(run.tuned)) for run in runs], [run.name for run in runs]):
        matches = [_NUMBERED.fullmatch(name) for name in names]
        numbered = [match for match in matches if match is not None]
        if len(numbered) < len(names) or len({(match["prefix"], match["suffix"]) for match in numbered}) > 1:
            continue
        values = tuple(float(match["number"]) for match in numbered)
        if len(set(values)) == len(values):
            return Axis(re.sub(r"[\W_]+", " ", numbered[0]["prefix"]).strip() or "number", values)
    return None
