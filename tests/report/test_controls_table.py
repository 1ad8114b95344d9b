"""Verdicts, controls and the audit as people read them."""

import io

import pytest
from rich.console import Console

from jaxeap.report.audit_notes import audit_notes, reading
from jaxeap.report.controls_table import control_notes, controls_markdown, two_by_two_table, verdict_lines


def interval(low: float, high: float) -> dict:
    return {"low": low, "high": high, "confidence": 0.95, "method": "percentile"}


def part(value: float) -> dict:
    return {"value": value, "interval": interval(value - 0.25, value + 0.25)}


def controls(**changes) -> dict:
    row = {
        "metric": "intensity_by_loss", "title": "Intensity per nat of loss", "base": 2.0, "tuned": 3.0,
        "difference": 1.0, "relative_change": 0.5, "interval": interval(0.5, 1.5), "examples": 9,
    }  # fmt: skip
    control = {"name": "null by splitting", "agrees": True, "detail": "beyond what halves differ by", "required": True}
    verdict = {
        "claim": "intensity up", "verdict": "supported", "interval": interval(0.1, 0.9), "reasons": ["one", "but two"],
        "levels": {"sure": True, "text": "levels move apart"},
        "controls": [control, control | {"name": "intensity_by_loss", "agrees": None, "required": False}],
    }  # fmt: skip
    return {
        "bootstrap": {"resamples": 2000, "method": "bca"},
        "headline_bootstrap": {"resamples": 10000, "method": "bca"},
        "two_by_two": [
            {"metric": "intensity", "title": "Activation intensity"}
            | {"raw": part(7.0), "model": part(4.5), "text": part(2.5), "interaction": part(3.0)}
        ],
        "same_text": 3,
        "normalised": [row],
        "null_split": [
            {"metric": "tail_index", "from": "base", "low": -1.0, "high": 1.5, "observed": 7.0, "share_beyond": 0.004},
            {"metric": "tail_index", "from": "tuned", "low": None, "high": None, "observed": 7.0, "share_beyond": None},
        ],
        "sensitivity": [{"setting": "metrics.bins", "value": 50, "default": True, "rows": [row]}],
        "divergence": {"base_text": part(0.5), "tuned_text": None, "questions": 8},
        "null_pair": None,
        "weights_changed": 0.25,
        "verdicts": [verdict],
    } | changes


def audit(pearson: float | None, spearman: float | None, slope: float | None) -> dict:
    values = {"pearson": pearson, "spearman": spearman, "slope": slope, "median_relative_error": 0.25}
    bounds = {name: None if value is None else [value - 0.1, value + 0.1] for name, value in values.items()}
    return values | {"intervals": bounds, "edges": 64, "examples": 32, "method": "eap", "ablation": "zero"}


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.95, 0.99, 1.1), "effects"),
        ((0.95, 0.99, 2.5), "ranks"),
        ((0.0, 0.75, 1.0), "ranks"),
        ((0.0, 0.3, 16.0), "neither"),
        ((None, None, None), "neither"),
    ],
)
def test_how_scores_may_be_read(numbers, expected):
    assert reading(audit(*numbers)) == expected


def test_audit_says_the_numbers_and_what_they_mean():
    base, tuned = audit_notes({"models": {"base": audit(0.0, 0.3, 16.0), "tuned": audit(None, None, None)}})
    assert base.startswith("Audit, base: over 64 edges patched exactly on 32 questions, eap scores under zero ablation")
    for text in (
        "Pearson 0.00 [-0.10, 0.10]",
        "Spearman 0.30",
        "slope 16.00 [15.90, 16.10] (intervals over edges, on these 32 questions)",
        "off by 25%",
        "must not be read as effects",
    ):
        assert text in base
    assert "Pearson –" in tuned and "intervals" not in tuned
    (none,) = audit_notes({"models": {}})
    assert "No audit was made" in none


def test_markdown_has_every_control():
    text = controls_markdown(controls(), {"models": {"base": audit(0.95, 0.9, 1.0)}})
    for said in (
        "- Intensity up: SUPPORTED, [+0.100, +0.900]: one; but two. WARNING: levels move apart.",
        "  - null by splitting (required): agrees; beyond what halves differ by.",
        "  - intensity by loss: not made;",
        "| Activation intensity | +7.00 [+6.75, +7.25] | +4.50 [+4.25, +4.75] | +2.50 [+2.25, +2.75] | +3.00 [",
        "To 3 questions both models gave the same counted answer",
        "| Intensity per nat of loss | 2.000 | 3.000 | +1.00 | +50.0% | [+0.500, +1.50] |",
        "Intervals of the controls: BCa bootstrap, paired by question, as the headline's, but of 2,000 resamples",
        "| tail index | base | [-1.00, +1.50] | +7.00 | 0.4% |",
        "| tail index | tuned | – | +7.00 | – |",
        "| metrics.bins=50 (this run) | Intensity per nat of loss |",
        "KL(tuned || base) on base text: 0.5000 nats a token [+0.250, +0.750], over 8 questions.",
        "Weights: 25.0% of the entries",
        "may be read as effects",
    ):
        assert said in text, said
    assert "null pair" not in text and "tuned text: " not in text
    null = {"tuned": "sft", "questions": 7, "rows": controls()["normalised"]}
    null |= {"relative_norm": 0.5, "relative_norm_of_pair": 0.25, "beyond": [], "missing": "its scores are gone"}
    text = controls_markdown(controls(null_pair=null), {"models": {}})
    assert (
        "### The null pair\n\nBase against sft, 7 questions that passed the same filters. Its weights moved by" in text
    )
    assert text.endswith("This pair's change was not held against the null pair's: its scores are gone.\n")
    beyond = {"metric": "intensity", "title": "Activation intensity", "change": 3.0, "reference": -2.0}
    beyond |= {"difference": 5.0, "interval": interval(1.0, 9.0), "drawn": "partly paired", "common": 1234}
    beyond |= {"common_difference": 4.0, "common_interval": interval(2.0, 6.0)}
    text = controls_markdown(controls(null_pair=null | {"missing": None, "beyond": [beyond]}), {"models": {}})
    assert "Percentile bootstrap by question: 1,234 questions are common and drawn for both at once" in text
    assert text.endswith("| Activation intensity | +3.00 | -2.00 | +5.00 | [+1.00, +9.00] | +4.00 | [+2.00, +6.00] |\n")
    text = controls_markdown(controls(null_pair=null | {"relative_norm": None}), {"models": {}})
    assert "### The null pair\n\nBase against sft, 7 questions that passed the same filters.\n\n|" in text


def test_levels_that_only_differ_in_sign_are_a_note_and_a_share_is_never_rounded_to_the_whole():
    one = controls()["verdicts"][0]
    (line,) = verdict_lines({"verdicts": [one | {"levels": {"sure": False, "text": "by chance perhaps"}}]})
    assert line.endswith("but two. Note: by chance perhaps.")
    (line,) = verdict_lines({"verdicts": [one | {"levels": None}]})
    assert line.endswith("but two.")
    notes = control_notes(controls(weights_changed=0.99996, headline_bootstrap={"resamples": 2000, "method": "bca"}))
    assert "Weights: > 99.9% of the entries are another number." in notes
    assert (
        "Intervals of the controls: BCa bootstrap of 2,000 resamples, paired by question, as the headline's." in notes
    )


def test_what_was_left_out_leaves_no_empty_table():
    nothing = controls(two_by_two=[], null_split=[], sensitivity=[], weights_changed=None)
    text = controls_markdown(nothing, {"models": {}})
    for said in ("Whose is the difference", "Halves of", "under other choices", "Weights:"):
        assert said not in text
    assert two_by_two_table(nothing) is None
    assert verdict_lines(nothing) == verdict_lines(controls())
    assert len(control_notes(nothing)) == len(control_notes(controls())) - 1


def test_eighty_columns_lose_no_number():
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(two_by_two_table(controls()))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    words = text.split()
    for number in ("+7.00", "[+6.75,", "+7.25]", "+4.50", "+2.50", "Activation", "intensity"):
        assert number in words
