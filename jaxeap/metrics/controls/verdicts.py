"""The verdict on each claim: supported, not supported, or undecided, by rules that are fixed beforehand.

With d the difference (tuned minus base) in the claimed direction and its paired bootstrap interval:

1. d does not exist: undecided.
2. d is exactly 0: not supported. So is everything where base and tuned are the same model.
3. There is no interval: undecided.
4. The interval lies wholly on the other side of 0: not supported.
5. It lies wholly on the claimed side: supported if every required control agrees, else undecided. Required are
   - the 2x2: the interval of the model's part lies on the claimed side too, so the text alone does not make it;
   - the null by splitting: d lies beyond the central 95% of the differences between halves of either model's questions;
   - a null pair, where one is given: the interval of d less that pair's difference lies on the claimed side.
   A required control that was not made does not agree; without a null pair, which needs a third checkpoint, the verdict
   says that none was given.
6. It holds 0 and lies within 1% of base's value on both sides: not supported; a change, if any, is too small to matter.
7. It holds 0: undecided.

The other controls stand beside the verdict and do not decide: other choices of the metric, intensity by loss and by
gradient norm, and the audit. They qualify what is supported ("intensity rose, but not by loss"), which is for the
reader to weigh. Nor do levels of difficulty decide; where they move in opposite directions the verdict carries a
warning, whatever it is. A verdict is about two checkpoints and these questions, never about the method that made one
from the other.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jaxeap.metrics.controls.levels import opposite_levels
from jaxeap.metrics.controls.paired import Row
from jaxeap.metrics.controls.sides import said_of, side

Outcome = Literal["supported", "not supported", "undecided"]

EQUIVALENCE = 0.01
"""Share of base's value within which a difference is too small to matter."""
NO_NULL_PAIR = "no null pair was given: what plain further training does is not known"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim of arXiv 2509.21044 about what GRPO and PPO do: `direction` is +1 for up, -1 for down."""

    name: str
    metric: str
    direction: int


CLAIMS = (
    Claim("intensity up", "intensity", 1),
    Claim("complexity up", "complexity", 1),
    Claim("kurtosis down", "kurtosis", -1),
    Claim("diversity up", "diversity", 1),
)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that verdicts are passed upon, as controls.json has it; what was not made is empty or None.

    Attributes:
        headline: rows of the contrast, by metric.
        two_by_two: entries of "two_by_two", by metric.
        null_split: entries of "null_split".
        sensitivity: entries of "sensitivity".
        normalised: rows of "normalised", by metric.
        null_pair: how much more changed than in the null pair, by metric, rows of `ChangeDifference.to_json`; None
            where none is given.
        null_pair_missing: why the two were not held against each other, where they were not.
        audit: for each model how its scores may be read: "effects", "ranks" or "neither".
        levels: by metric a row for each level of difficulty, its name under "member".
    """

    headline: Mapping[str, Row]
    two_by_two: Mapping[str, dict[str, Any]]
    null_split: Sequence[dict[str, Any]]
    sensitivity: Sequence[dict[str, Any]]
    normalised: Mapping[str, Row]
    null_pair: Mapping[str, Row] | None
    audit: Mapping[str, str]
    levels: Mapping[str, Sequence[Row]] = dataclasses.field(default_factory=dict)
    null_pair_missing: str | None = None


def judge(claim: Claim, evidence: Evidence) -> dict[str, Any]:
    """The verdict on one claim: its outcome, the interval that decided, why, what every control and the levels say."""
    row = evidence.headline.get(claim.metric)
    required, beside = _required(claim, row, evidence), _beside(claim, row, evidence)
    outcome, reasons = _outcome(claim, row, required)
    if outcome == "supported":
        reasons += [] if evidence.null_pair is not None else [NO_NULL_PAIR]
        reasons += [f"but {control['detail']}" for control in beside if control["agrees"] is False]
    return {
        "claim": claim.name,
        "metric": claim.metric,
        "direction": claim.direction,
        "verdict": outcome,
        "interval": None if row is None else row["interval"],
        "reasons": reasons,
        "levels": opposite_levels(evidence.levels.get(claim.metric, ())),
        "controls": [control | {"required": True} for control in required]
        + [control | {"required": False} for control in beside],
    }


def _outcome(claim: Claim, row: Row | None, required: Sequence[dict[str, Any]]) -> tuple[Outcome, list[str]]:
    if row is None or row["difference"] is None:
        return "undecided", ["the metric has no value"]
    if row["difference"] == 0:
        return "not supported", ["the difference is exactly 0"]
    if row["interval"] is None:
        return "undecided", ["too few questions for an interval"]
    low, high = row["interval"]["low"], row["interval"]["high"]
    if side(row["interval"]) == -claim.direction:
        return "not supported", [f"the interval leaves out 0 in the other direction ({_down_or_up(-claim.direction)})"]
    if side(row["interval"]) == claim.direction:
        failed = [control["detail"] for control in required if not control["agrees"]]
        if not failed:
            among = ", the null pair among them" if any(control["name"] == "null pair" for control in required) else ""
            return "supported", [f"the interval leaves out 0, and every required control agrees{among}"]
        return "undecided", ["the interval leaves out 0", *(f"but {detail}" for detail in failed)]
    if row["base"] and max(abs(low), abs(high)) <= EQUIVALENCE * abs(row["base"]):
        return "not supported", [f"the interval lies within {EQUIVALENCE:.0%} of base's value"]
    return "undecided", ["the interval holds 0"]


def _required(claim: Claim, row: Row | None, evidence: Evidence) -> list[dict[str, Any]]:
    controls = [_model_part(claim, evidence), _null_split(claim, row, evidence)]
    if evidence.null_pair is not None:
        controls.append(_null_pair(claim, evidence.null_pair, evidence.null_pair_missing))
    return controls


READ_AS = {
    "effects": "scores may be read as effects",
    "ranks": "only the order of scores follows the effects",
    "neither": "the order of scores follows the effects of edges loosely at best",
}


def _beside(claim: Claim, row: Row | None, evidence: Evidence) -> list[dict[str, Any]]:
    controls = [_sensitivity(claim, row, evidence)]
    if evidence.null_pair is None:
        controls.append(_control("null pair", None, f"{NO_NULL_PAIR} (config.controls.null_tuned)"))
    if claim.metric == "intensity":
        controls += [_normalised(claim, evidence, name) for name in ("intensity_by_loss", "intensity_by_gradient_norm")]
    readings = evidence.audit
    said = "; ".join(f"in {model} {READ_AS[reading]}" for model, reading in readings.items())
    return [
        *controls,
        _control(
            "audit",
            all(reading == "effects" for reading in readings.values()) if readings else None,
            f"by exact patching {said}" if readings else "no audit was made",
        ),
    ]


def _model_part(claim: Claim, evidence: Evidence) -> dict[str, Any]:
    name = "model part of the 2x2"
    if (found := evidence.two_by_two.get(claim.metric)) is None or found["model"]["value"] is None:
        return _control(name, None, "the models were not scored on each other's text (config.controls.cross_text)")
    sign = side(found["model"]["interval"])
    agrees = sign == claim.direction
    return _control(name, agrees, f"the interval of the model's part of the difference {said_of(sign)}")


def _null_split(claim: Claim, row: Row | None, evidence: Evidence) -> dict[str, Any]:
    name = "null by splitting"
    found = [each for each in evidence.null_split if each["metric"] == claim.metric and each["low"] is not None]
    if not found or row is None or row["difference"] is None:
        return _control(name, None, "no null by splitting (config.controls.splits, or too few questions)")
    within = [
        each["from"]
        for each in found
        if not claim.direction * row["difference"] > max(claim.direction * each["low"], claim.direction * each["high"])
    ]
    if not within:
        return _control(name, True, "the difference lies beyond what halves of one model's questions differ by")
    return _control(
        name,
        False,
        f"the difference lies not beyond what halves of {' and of '.join(within)}'s questions differ by in the claimed "
        "direction",
    )


def _null_pair(claim: Claim, beyond: Mapping[str, Row], missing: str | None) -> dict[str, Any]:
    """A bar at the end of the null's own interval would not do: it forgets this pair's scatter, and a null that moved
    the other way would lower it below 0."""
    if missing:
        return _control("null pair", None, f"the null pair was not held against this one: {missing}")
    if (found := beyond.get(claim.metric)) is None:
        return _control("null pair", None, "the null pair or this one has no value of this metric")
    if (interval := found["interval"]) is None:
        return _control("null pair", None, "too few questions to hold the null pair against this one")
    sign = side(interval)
    said = f"{_signed(found['difference'])} [{_signed(interval['low'])}, {_signed(interval['high'])}]"
    return _control(
        "null pair",
        sign == claim.direction,
        f"the difference less the null pair's is {said}, whose interval {said_of(sign)}",
    )


def _sensitivity(claim: Claim, row: Row | None, evidence: Evidence) -> dict[str, Any]:
    name = "other choices"
    other = [
        (f"{entry['setting']}={entry['value']}", side(each["interval"]) == claim.direction)
        for entry in evidence.sensitivity
        for each in entry["rows"]
        if not entry["default"] and each["metric"] == claim.metric
    ]
    if not other:
        return _control(name, None, "no other choices were tried (config.controls.sensitivity)")
    holding, failing = ([choice for choice, holds in other if holds is wanted] for wanted in (True, False))
    if row is not None and side(row["interval"]) == claim.direction:
        if not failing:
            return _control(name, True, f"it holds under all {len(other)} other choices")
        return _control(name, False, f"it does not hold under {', '.join(failing)}")
    if not holding:
        return _control(name, False, f"the interval lies on the claimed side under none of {len(other)} other choices")
    return _control(name, False, f"the interval would lie on the claimed side under {', '.join(holding)}")


def _normalised(claim: Claim, evidence: Evidence, metric: str) -> dict[str, Any]:
    row = evidence.normalised.get(metric)
    if row is None or row["interval"] is None:
        return _control(metric, None, f"{metric.replace('_', ' ')} has no interval")
    sign = side(row["interval"])
    said = f"the interval of the difference of {metric.replace('_', ' ')} {said_of(sign)}"
    return _control(metric, sign == claim.direction, said)


def _control(name: str, agrees: bool | None, detail: str) -> dict[str, Any]:
    return {"name": name, "agrees": agrees, "detail": detail}


def _signed(value: float) -> str:
    return f"{value:+#.3g}".removesuffix(".")


def _down_or_up(direction: int) -> str:
    return "up" if direction > 0 else "down"
