from jaxeap.report.page import Content
from jaxeap.report.page.control_tables import correlates, null_splits, sensitivity, two_by_two, view
from jaxeap.report.page.strip import own_strip


def test_without_controls_there_is_nothing_to_show():
    assert view(None) is None
    assert correlates(None) is correlates({"associations": [], "logistic": []}) is None
    empty = view({"verdicts": []})
    assert empty is not None
    assert not any(value for value in empty.values())


def test_parts_of_a_difference_share_a_scale(content: Content):
    assert content.controls is not None
    found = two_by_two(content.controls["two_by_two"][0])
    assert found["strips"]["raw"].apart
    assert not found["strips"]["text"].apart
    dots = [found["strips"][part].dot - 50 for part in ("raw", "model", "text")]
    assert abs(dots[0] - 3 * dots[2]) < 0.05
    assert abs(dots[0] - dots[1] - dots[2]) < 0.05


def test_null_splits_are_sorted_by_metric_and_say_what_lies_beyond():
    def entry(metric, origin, observed):
        return {"metric": metric, "from": origin, "low": -1.0, "high": 1.0, "observed": observed}

    entries = [entry("a", "base", 0.5), entry("b", "base", -2.0), entry("a", "tuned", None), entry("b", "tuned", 1.0)]
    found = null_splits(entries, {"a": "Title"})
    assert [(row["title"], row["from"], row["first"]) for row in found] == [
        ("Title", "base", True), ("Title", "tuned", False), ("b", "base", True), ("b", "tuned", False),
    ]  # fmt: skip
    assert [row["beyond"] for row in found] == [False, False, True, False]


def test_sensitivity_is_seen_against_each_value_of_base():
    def row(base, difference):
        return {"title": "T", "base": base, "difference": difference, "interval": {"low": 0.0, "high": 2 * difference}}

    entries = [
        {"setting": "metrics.bins", "value": 50, "default": False, "rows": [row(1.0, 0.5)]},
        {"setting": "metrics.bins", "value": 100, "default": True, "rows": [row(4.0, 2.0)]},
        {"setting": "metrics.entries", "value": "edges", "default": False, "rows": [row(0.0, 2.0)]},
    ]
    bins, entries_ = sensitivity(entries)
    assert [value["relative"] for value in bins["values"]] == [0.5, 0.5]
    assert bins["values"][0]["interval"] == bins["values"][1]["interval"] == (0.0, 1.0)
    assert entries_["values"][0]["relative"] is None


def test_own_scale_of_an_empty_row():
    assert own_strip(None, None).dot is None
