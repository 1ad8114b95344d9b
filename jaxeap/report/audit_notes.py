"""What the audit says, in words: whether scores may be read as effects."""

from collections.abc import Mapping
from typing import Any, Literal

from jaxeap.report import notation

Reading = Literal["effects", "ranks", "neither"]

EFFECT_CORRELATION = 0.9
EFFECT_SLOPES = (0.5, 2.0)
RANK_CORRELATION = 0.7
"""Where the words change. Nothing hangs on them but the words and the audit's line among a verdict's controls."""

IN_WORDS: Mapping[Reading, str] = {
    "effects": "the scores may be read as effects of single edges",
    "ranks": "the scores rank edges by effect, but their sizes are not effects",
    "neither": "the scores must not be read as effects of edges, and their order follows the effects loosely at best",
}


def reading(model: Mapping[str, Any]) -> Reading:
    """How one model's scores may be read.

    - effects: Pearson at least 0.9 and a slope between 0.5 and 2;
    - ranks: else, Spearman at least 0.7;
    - neither: else.

    Args:
      model: an entry of audit.json's "models".
    """
    pearson, spearman, slope = (model[name] for name in ("pearson", "spearman", "slope"))
    if pearson is not None and pearson >= EFFECT_CORRELATION and EFFECT_SLOPES[0] <= slope <= EFFECT_SLOPES[1]:
        return "effects"
    return "ranks" if spearman is not None and spearman >= RANK_CORRELATION else "neither"


def audit_notes(audit: Mapping[str, Any]) -> list[str]:
    """One line a model, from audit.json; a line that there was none, where there was none."""
    if not audit["models"]:
        return ["No audit was made (config.audit.edges is 0): how far scores tell effects is not known."]
    return [_note(role, model) for role, model in audit["models"].items()]


def _note(role: str, model: Mapping[str, Any]) -> str:
    def shown(name: str) -> str:
        interval = model["intervals"][name]
        bounds = "" if interval is None else " [{:.2f}, {:.2f}]".format(*interval)
        return notation.UNDEFINED if model[name] is None else f"{model[name]:.2f}{bounds}"

    error = model["median_relative_error"]
    off = notation.UNDEFINED if error is None else f"{error:.0%}"
    bounded = any(model["intervals"][name] is not None for name in ("pearson", "spearman", "slope"))
    drawn = f" (intervals over edges, on these {model['examples']} questions)" if bounded else ""
    return (
        f"Audit, {role}: over {model['edges']} edges patched exactly on {model['examples']} questions, "
        f"{model['method']} scores under {model['ablation']} ablation have Pearson {shown('pearson')} and Spearman "
        f"{shown('spearman')} with the effects, slope {shown('slope')}{drawn}; the median edge's score is off by "
        f"{off} of its effect: {IN_WORDS[reading(model)]}."
    )
