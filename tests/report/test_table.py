import dataclasses
import io

import numpy as np
import pytest
from rich.console import Console

from jaxeap.metrics import contrast
from jaxeap.report import notation
from jaxeap.report.table import contrast_table, filter_table, markdown, write_markdown

ACCOUNT = [("both_right", 1120, 380), ("mean answer length 2 to 7 [tokens]", 0, 380), ("sample of 100", 280, 100)]


def printed(table, width):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table)
    return console.file.getvalue()


def test_every_metric_is_one_line_of_a_wide_terminal(finished):
    lines = printed(contrast_table(finished.contrast), 110).splitlines()
    for metric in finished.contrast.metrics:
        (line,) = [line for line in lines if f"{metric.title} " in line]
        values = line.replace(metric.title, "").split()
        assert values == [
            notation.number(metric.base),
            notation.number(metric.tuned),
            notation.signed(metric.difference),
            notation.percent(metric.relative_change),
            f"[{notation.signed(metric.interval[0])},",
            f"{notation.signed(metric.interval[1])}]",
            notation.probability(metric.p_value),
        ]


def test_eighty_columns_lose_no_number(finished):
    text = printed(contrast_table(finished.contrast), 80)
    assert max(map(len, text.splitlines())) <= 80
    for metric in finished.contrast.metrics:
        p_value = notation.probability(metric.p_value)
        for number in (notation.number(metric.base), *notation.interval(metric.interval).split(), p_value):
            assert number in text.split(), (metric.name, number)
    assert "…" not in text


def test_the_choices_and_the_confidence_are_printed(finished):
    text = " ".join(printed(contrast_table(finished.contrast), 110).split())
    assert finished.contrast.options.describe() in text
    assert "200 bootstrap resamples of the questions, paired, BCa" in text and "95%" in text and "12 questions" in text
    assert "at most 10,000 exchanges" in text
    ninety = dataclasses.replace(finished.contrast, confidence=0.9)
    assert "90%" in printed(contrast_table(ninety), 110)


def test_what_is_undefined_shows_as_a_dash_with_a_reason(finished):
    one = contrast(finished.base_scores[:1], finished.tuned_scores[:1], finished.mask, resamples=5)
    text = printed(contrast_table(one), 110)
    (diversity,) = [line for line in text.splitlines() if "diversity" in line]
    assert diversity.split()[2:] == ["–"] * 6
    assert "too few questions" in text and "1 question)" in text
    silent = finished.tuned_scores.copy()
    silent[[3, 4]] = 0
    text = printed(contrast_table(contrast(finished.base_scores, silent, finished.mask, resamples=5)), 110)
    assert "Distribution kurtosis: without 2 questions whose scores are all alike" in text
    assert "too few" not in text and "Activation intensity: without" not in text


def test_the_account_of_filters(finished):
    lines = [line.split() for line in printed(filter_table(ACCOUNT), 80).splitlines()]
    assert ["questions", "answered", "by", "both", "models", "1,500"] in lines
    assert ["both_right", "1,120", "380"] in lines
    assert ["mean", "answer", "length", "2", "to", "7", "[tokens]", "0", "380"] in lines
    assert ["sample", "of", "100", "280", "100"] in lines


def test_markdown_holds_the_same_cells(finished, tmp_path):
    path = write_markdown(tmp_path / "table.md", finished.contrast, ACCOUNT)
    text = path.read_text(encoding="utf-8")
    assert text == markdown(finished.contrast, ACCOUNT)
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    for metric in finished.contrast.metrics:
        base, tuned, difference, _, interval, p_value = cells[metric.title]
        assert p_value == notation.probability(metric.p_value)
        np.testing.assert_allclose([float(base), float(tuned)], [metric.base, metric.tuned], rtol=5e-4)
        np.testing.assert_allclose(float(difference), metric.difference, rtol=5e-3)
        np.testing.assert_allclose([float(end) for end in interval.strip("[]").split(",")], metric.interval, rtol=5e-3)
    assert cells["sample of 100"] == ["280", "100"]
    assert "Which questions" not in markdown(finished.contrast)


def test_without_a_test_there_is_no_column_for_it(finished):
    plain = contrast(finished.base_scores, finished.tuned_scores, finished.mask, resamples=20, permutations=0)
    text = printed(contrast_table(plain), 110)
    assert "exchanges" not in text and "–" not in text
    assert "| p |" in markdown(finished.contrast) and "| p |" not in markdown(plain)


def test_an_interval_that_is_not_the_usual_one_is_named(finished):
    equal = contrast(finished.base_scores, finished.base_scores.copy(), finished.mask, resamples=20)
    text = " ".join(printed(contrast_table(equal), 110).split())
    assert "Activation intensity, Information complexity," in text
    assert "Top mass: percentile interval, since BCa is not defined." in text
    usual = " ".join(printed(contrast_table(finished.contrast), 110).split())
    assert "Tail index (quantiles): percentile interval, since BCa is not defined." in usual  # a median
    assert usual.count("percentile interval") == 1


@pytest.mark.parametrize("name", ["a|b", "[red]a[/red]"])
def test_names_are_not_read_as_markup(finished, name):
    assert name in printed(filter_table([(name, 0, 5)]), 80)
    (row,) = [
        line
        for line in markdown(finished.contrast, [(name, 0, 5)]).splitlines()
        if "a" in line and "| 5 |" in line and "both" not in line
    ]
    assert row.replace("\\|", "¦").count("|") == 4
