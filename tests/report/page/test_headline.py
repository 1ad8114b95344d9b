import pytest

from jaxeap.report.page import Content, headline


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ([], ""),
        (["supported"], "Of the paper's one claim, one is supported."),
        (["undecided"] * 4, "Of the paper's four claims, four are undecided."),
        (
            ["undecided", "supported", "not supported", "undecided"],
            "Of the paper's four claims, one is supported, one is not supported and two are undecided.",
        ),
    ],
)
def test_sentence(verdicts, sentence):
    assert headline.count_sentence(verdicts) == sentence


def test_cards_and_rows_fit_the_metrics(content: Content):
    view = headline.view(content)
    metrics = content.metrics["contrast"]["metrics"]
    assert [card["metric"] for card in view["cards"]] == ["intensity", "complexity", "kurtosis", "diversity"]
    for card in view["cards"]:
        assert card["row"]["difference"] == metrics[card["metric"]]["difference"]
    assert [row["metric"] for row in view["rows"]] == list(metrics)
    assert [row["verdict"] for row in view["rows"]][:4] == ["supported", "undecided", "not supported", "undecided"]
    assert view["tested"]


def test_reading_of_the_audit_is_said_once_where_the_models_agree(content: Content):
    assert content.audit is not None
    (sentence,) = headline.readings(content.audit)
    assert sentence.startswith("In base and tuned: the scores must not be read as effects")
    models = dict(content.audit["models"])
    models["tuned"] = models["tuned"] | {"pearson": 0.95}
    base, tuned = headline.readings({"models": models})
    assert base.startswith("In base: the scores must not")
    assert tuned == "In tuned: the scores may be read as effects of single edges."
    assert [line.split(":")[0] for line in headline.view(content)["audit"]] == ["base", "tuned"]
    assert "must not be read" not in "".join(headline.view(content)["audit"])
    assert headline.readings(None) == headline.readings({"models": {}}) == []


def test_without_base_there_is_no_relative_change(content: Content):
    row = {"base": 0.0, "difference": 1.0, "interval": [0.5, 1.5]}
    assert headline.relative_to_base(row) == (None, None)
    assert headline.relative_to_base(row | {"base": -2.0}) == (0.5, (0.25, 0.75))
