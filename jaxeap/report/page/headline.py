"""The head of the page: the claims with their verdicts, and every metric with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxeap.report import notation
from jaxeap.report.audit_notes import IN_WORDS, audit_notes, reading
from jaxeap.report.page import wording
from jaxeap.report.page.content import Content
from jaxeap.report.page.strip import own_strip

NUMBERS = ("none", "one", "two", "three", "four", "five", "six")


def view(content: Content) -> dict[str, Any]:
    """Verdict cards, the sentence that counts them, the table's rows, the choices and what the audit says."""
    contrast = content.metrics["contrast"]
    verdicts = (content.controls or {}).get("verdicts") or []
    rows = metric_rows(contrast)
    by_metric = {row["metric"]: row for row in rows}
    outcomes = {verdict["metric"]: verdict["verdict"] for verdict in verdicts}
    return {
        "cards": [_card(verdict, by_metric.get(verdict["metric"])) for verdict in verdicts],
        "sentence": count_sentence([verdict["verdict"] for verdict in verdicts]),
        "rows": [
            row | {"strip": own_strip(row["difference"], row["interval"]), "verdict": outcomes.get(row["metric"])}
            for row in rows
        ],
        "confidence": f"{100 * contrast['confidence']:g}%",
        "tested": any(row.get("p_value") is not None for row in rows),
        "notes": content.choices,
        "audit": [] if content.audit is None else [_without_reading(note) for note in audit_notes(content.audit)],
        "readings": readings(content.audit),
        "facts": facts(content),
    }


def metric_rows(contrast: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The metric rows, each with its name under "metric"."""
    return [dict(row) | {"metric": name} for name, row in contrast["metrics"].items()]


def count_sentence(verdicts: Sequence[str]) -> str:
    """Like: Of the paper's four claims, one is supported and three are undecided."""
    if not verdicts:
        return ""
    parts = []
    for outcome in ("supported", "not supported", "undecided"):
        if number := verdicts.count(outcome):
            parts.append(f"{_spelled(number)} {'is' if number == 1 else 'are'} {outcome}")
    said = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    claims = "one claim" if len(verdicts) == 1 else f"{_spelled(len(verdicts))} claims"
    return f"Of the paper's {claims}, {said}."


def readings(audit: Mapping[str, Any] | None) -> list[str]:
    """What the audit comes to, in a sentence for both models where they agree."""
    said = {role: IN_WORDS[reading(model)] for role, model in ((audit or {}).get("models") or {}).items()}
    if len(set(said.values())) == 1:
        return [f"In {' and '.join(said)}: {next(iter(said.values()))}."]
    return [f"In {role}: {words}." for role, words in said.items()]


def _without_reading(note: str) -> str:
    """A note of the audit without the words that `readings` has said already."""
    for words in IN_WORDS.values():
        note = note.replace(f": {words}.", ".")
    return note.removeprefix("Audit, ")


def facts(content: Content) -> list[str]:
    """What was compared, in a few words each."""
    settings, questions = content.settings, content.metrics["contrast"]["examples"]
    found = [wording.count(questions, "question")]
    if answers := content.metrics.get("answers"):
        base, tuned = (notation.share(answers["accuracy"][role]) for role in ("base", "tuned"))
        found[0] += f" of {answers['questions']:,}"
        found.append(f"right answers: base {base}, tuned {tuned}")
    if content.edges is not None:
        edges = wording.count(int(content.edges.mask.sum()), "edge")
        found.append(f"{edges} at {content.edges.level} level")
    if method := settings.get("attribution.method"):
        found.append(f"{method}, {settings.get('attribution.ablation', '')} ablation")
    return found


def _card(verdict: Mapping[str, Any], row: Mapping[str, Any] | None) -> dict[str, Any]:
    value, interval = (None, None) if row is None else relative_to_base(row)
    return {
        **verdict,
        "glyph": wording.glyph(verdict["verdict"]),
        "style": verdict["verdict"].replace(" ", "-"),
        "row": row,
        "relative": notation.UNDEFINED if value is None else wording.percent(value),
        "relative_interval": notation.UNDEFINED
        if interval is None
        else f"{wording.percent(interval[0])} to {wording.percent(interval[1])}",
        "strip": own_strip(value, interval),
    }


def relative_to_base(row: Mapping[str, Any]) -> tuple[float | None, wording.Bounds | None]:
    """Difference and interval as shares of |base|; None where base is 0 or has no value."""
    base, interval = row["base"], wording.bounds(row["interval"])
    if not base or row["difference"] is None:
        return None, None
    found = None if interval is None else (interval[0] / abs(base), interval[1] / abs(base))
    return row["difference"] / abs(base), found


def _spelled(number: int) -> str:
    return NUMBERS[number] if number < len(NUMBERS) else str(number)
