"""The verdicts, the 2x2 of model and text, and what the other controls found: in the terminal and in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from jaxeap.report import notation
from jaxeap.report.audit_notes import audit_notes
from jaxeap.report.table import METHODS, markdown_table, rich_table

Cells = list[tuple[str, ...]]

VERDICTS = "Verdicts on the claims of arXiv 2509.21044 (GRPO, PPO), for this pair and these questions"
TWO_BY_TWO = "Whose is the difference: the model's, or the text's that it wrote?"
MARKS: Mapping[bool | None, str] = {True: "agrees", False: "does not agree", None: "not made"}


def verdict_lines(controls: Mapping[str, Any]) -> list[str]:
    """One line a claim: verdict, the interval that decided, why."""
    return [
        f"{verdict['claim'].capitalize()}: {verdict['verdict'].upper()}, {_interval(verdict['interval'])}: "
        f"{'; '.join(verdict['reasons'])}.{_levels(verdict)}"
        for verdict in controls["verdicts"]
    ]


def two_by_two_table(controls: Mapping[str, Any]) -> Table | None:
    """One row a metric: the difference, the model's part and the text's, with intervals; None where it was not made."""
    if not (cells := _two_by_two_cells(controls)):
        return None
    header, *rows = (row[:-1] for row in cells)  # Interactions stand in the Markdown: four intervals are too wide.
    names = (header[0], *(f"{name} and its interval" for name in header[1:]))
    return rich_table(TWO_BY_TWO, [names, *rows], caption="\n".join(two_by_two_notes(controls)))


def controls_markdown(controls: Mapping[str, Any], audit: Mapping[str, Any]) -> str:
    """All of it as GitHub-flavoured Markdown, to stand under the contrast's table."""
    parts = ["\n".join(f"- {note}" for note in audit_notes(audit))]
    parts += [f"## {VERDICTS}", _verdict_list(controls)]
    if cells := _two_by_two_cells(controls):
        parts += [f"## {TWO_BY_TWO}", markdown_table(cells)]
        parts.append("\n".join(f"- {note}" for note in two_by_two_notes(controls)))
    parts += ["## Other controls", markdown_table(_normalised_cells(controls))]
    parts.append("\n".join(f"- {note}" for note in control_notes(controls)))
    if cells := _null_cells(controls):
        parts += ["### Halves of one model's questions, as if two models", markdown_table(cells)]
    if cells := _sensitivity_cells(controls):
        parts += ["### The difference under other choices", markdown_table(cells)]
    if (null := controls["null_pair"]) is not None:
        parts += ["### The null pair", null_pair_note(null), markdown_table(_row_cells(null["rows"]))]
        parts.append(beyond_null_note(null))
        parts += [markdown_table(_beyond_null_cells(null["beyond"]))] if null["beyond"] else []
    return "\n\n".join(parts) + "\n"


def two_by_two_notes(controls: Mapping[str, Any]) -> list[str]:
    """How to read the 2x2."""
    alike = controls["same_text"]
    return [
        "Difference = model's part + text's part: another model on the same text, averaged over both texts, and "
        "another text under the same model, averaged over both models. Interaction: how far the model's part depends "
        "on the text.",
        f"To {alike:,} question{'' if alike == 1 else 's'} both models gave the same counted answer, word for word; "
        "there the text has no part.",
    ]


def control_notes(controls: Mapping[str, Any]) -> list[str]:
    """What the weights and the predictions say, in a line each."""
    notes = []
    divergence, changed = controls["divergence"], controls["weights_changed"]
    for text in ("base_text", "tuned_text"):
        if (found := divergence[text]) is not None:
            notes.append(
                f"KL(tuned || base) on {text.replace('_', ' ')}: {notation.number(found['value'])} nats a token "
                f"{_interval(found['interval'])}, over {divergence['questions']:,} questions."
            )
    if changed is not None:
        notes.append(f"Weights: {notation.share(changed)} of the entries are another number.")
    notes.append(
        "Halves differ by chance alone; their differences are scaled to two sets of as many questions as there are, "
        "unpaired."
    )
    notes.append(intervals_note(controls))
    return notes


def null_pair_note(null: Mapping[str, Any]) -> str:
    """What it was, and whether it is as large a change as the one that it is held against."""
    note = f"Base against {null['tuned']}, {null['questions']:,} questions that passed the same filters."
    if null["relative_norm"] is not None and null["relative_norm_of_pair"] is not None:
        note += (
            f" Its weights moved by {notation.number(null['relative_norm'])} of base's norm, this pair's by "
            f"{notation.number(null['relative_norm_of_pair'])}: a null that moved far less is a low bar."
        )
    return note


def beyond_null_note(null: Mapping[str, Any]) -> str:
    """How this pair's change was held against the null's, or why it was not."""
    if null["missing"]:
        return f"This pair's change was not held against the null pair's: {null['missing']}."
    if not null["beyond"]:
        return "This pair's change was not held against the null pair's: no metric has a value in both."
    drawn, common = null["beyond"][0]["drawn"], null["beyond"][0]["common"]
    how = {
        "paired": "both have the same questions, which are drawn for both at once",
        "partly paired": f"{common:,} questions are common and drawn for both at once, the others for each alone",
        "unpaired": "no question is common, so each pair's are drawn alone",
    }[drawn]
    return (
        "This pair's change less the null pair's; a claim is supported only where the interval lies on the claimed "
        f"side of 0. Percentile bootstrap by question: {how}."
    )


def intervals_note(controls: Mapping[str, Any]) -> str:
    """What the controls' intervals are, which stand beside the headline's."""
    made, headline = controls["bootstrap"], controls["headline_bootstrap"]
    same = "as the headline's" if made["method"] == headline["method"] else "unlike the headline's"
    return (
        f"Intervals of the controls: {METHODS[made['method']]} bootstrap, paired by question, {same}, but of "
        f"{made['resamples']:,} resamples (the headline's: {headline['resamples']:,}), so last digits differ."
        if made["resamples"] != headline["resamples"]
        else f"Intervals of the controls: {METHODS[made['method']]} bootstrap of {made['resamples']:,} resamples, "
        f"paired by question, {same}."
    )


def _levels(verdict: Mapping[str, Any]) -> str:
    """A sentence where levels of difficulty differ in sign."""
    if (found := verdict["levels"]) is None:
        return ""
    return f" {'WARNING: ' if found['sure'] else 'Note: '}{found['text']}."


def _verdict_list(controls: Mapping[str, Any]) -> str:
    lines = []
    for line, verdict in zip(verdict_lines(controls), controls["verdicts"], strict=True):
        lines.append(f"- {line}")
        lines += [
            f"  - {control['name'].replace('_', ' ')}{' (required)' if control['required'] else ''}: "
            f"{MARKS[control['agrees']]}; {control['detail']}."
            for control in verdict["controls"]
        ]
    return "\n".join(lines)


def _two_by_two_cells(controls: Mapping[str, Any]) -> Cells:
    parts = ("raw", "model", "text", "interaction")
    rows = [
        (
            entry["title"],
            *(_with_interval(entry[part]["value"], entry[part]["interval"]) for part in parts),
        )
        for entry in controls["two_by_two"]
    ]
    return [("Metric", "Difference", "Model's part", "Text's part", "Interaction"), *rows] if rows else []


def _normalised_cells(controls: Mapping[str, Any]) -> Cells:
    return _row_cells(controls["normalised"])


def _row_cells(rows: Sequence[Mapping[str, Any]]) -> Cells:
    header = ("Metric", "Base", "Tuned", "Difference", "Relative change", "Interval")
    return [header, *(
        (
            row["title"],
            notation.number(row["base"]),
            notation.number(row["tuned"]),
            notation.signed(row["difference"]),
            notation.percent(row["relative_change"]),
            _interval(row["interval"]),
        )
        for row in rows
    )]  # fmt: skip


def _beyond_null_cells(rows: Sequence[Mapping[str, Any]]) -> Cells:
    header = (
        "Metric",
        "This pair's change",
        "The null pair's",
        "Difference of the two",
        "Interval",
        "On common questions",
        "Interval",
    )
    return [header, *(
        (
            row["title"],
            *(notation.signed(row[key]) for key in ("change", "reference", "difference")),
            _interval(row["interval"]),
            notation.signed(row["common_difference"]),
            _interval(row["common_interval"]),
        )
        for row in rows
    )]  # fmt: skip


def _null_cells(controls: Mapping[str, Any]) -> Cells:
    rows = [
        (
            entry["metric"].replace("_", " "),
            entry["from"],
            notation.interval(None if entry["low"] is None else (entry["low"], entry["high"])),
            notation.signed(entry["observed"]),
            notation.share(entry["share_beyond"]),
        )
        for entry in controls["null_split"]
    ]
    header = (
        "Metric",
        "Halves of",
        "Central 95% of the halves' differences",
        "Observed",
        "Halves at least as far apart",
    )
    return [header, *rows] if rows else []


def _sensitivity_cells(controls: Mapping[str, Any]) -> Cells:
    rows = [
        (
            f"{entry['setting']}={entry['value']}{' (this run)' if entry['default'] else ''}",
            row["title"],
            notation.signed(row["difference"]),
            notation.percent(row["relative_change"]),
            _interval(row["interval"]),
        )
        for entry in controls["sensitivity"]
        for row in entry["rows"]
    ]
    return [("Choice", "Metric", "Difference", "Relative change", "Interval"), *rows] if rows else []


def _with_interval(value: float | None, interval: Mapping[str, Any] | None) -> str:
    return f"{notation.signed(value)} {_interval(interval)}"


def _interval(interval: Mapping[str, Any] | None) -> str:
    return notation.interval(None if interval is None else (interval["low"], interval["high"]))
