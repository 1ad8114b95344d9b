"""A pair's changes less its null pair's: null runs made from the pair's own, so that the answer is known."""

import json
import shutil

import pytest

from jaxeap.pipeline.stages.attribute import OWN_TEXT
from jaxeap.pipeline.stages.beyond_null_pair import beyond_null_pair
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.stages.select import selection_of

BOOTSTRAP = {"resamples": 60, "seed": 4, "confidence": 0.95}
BASE, TUNED = (cell.name for cell in OWN_TEXT)
CLAIMED = ["intensity", "complexity", "kurtosis", "diversity"]


@pytest.fixture
def null_run(finished_run, tmp_path):
    """A copy of the pair's run."""
    for stage in ("select", "attribute"):
        shutil.copytree(finished_run / stage, tmp_path / "null" / stage)
    return tmp_path / "null"


@pytest.fixture
def beyond(finished_run, null_run):
    def call():
        options = contrast_of(finished_run / "contrast").options
        selection = selection_of(finished_run / "select")
        return beyond_null_pair(null_run, finished_run / "attribute", selection, options, BOOTSTRAP, 2**20)

    return call


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_pair_changed_no_more_than_itself(beyond):
    rows, missing = beyond()
    assert missing is None and [row["metric"] for row in rows] == CLAIMED
    for row in rows:
        assert (row["difference"], row["interval"]["low"], row["interval"]["high"]) == (0.0, 0.0, 0.0)
        assert row["change"] == row["reference"] != 0 and row["drawn"] == "paired"


def test_a_null_that_moves_the_other_way_adds_its_change_and_its_scatter(beyond, null_run, finished_run):
    scored = null_run / "attribute"
    shutil.rmtree(scored / TUNED)
    shutil.copytree(scored / BASE, scored / TUNED)
    still, _ = beyond()
    shutil.rmtree(scored / BASE)
    shutil.copytree(finished_run / "attribute" / TUNED, scored / BASE)
    backwards, _ = beyond()
    for one, two in zip(still, backwards, strict=True):
        assert one["reference"] == 0 and one["difference"] == one["change"] == -two["reference"]
        # With the same questions drawn for both, -d is as uncertain as d: the interval of d - (-d) is twice as wide.
        for end in ("low", "high"):
            assert two["interval"][end] == pytest.approx(2 * one["interval"][end], rel=1e-9)


def test_an_id_over_another_prompt_is_another_question(beyond, null_run):
    def another_prompt(content):
        content["questions"][0]["base"]["tokens"][0] += 1

    (path,) = (null_run / "select").glob("selection.json")
    rewrite(path, another_prompt)
    rows, _ = beyond()
    assert {(row["drawn"], row["common"]) for row in rows} == {
        ("partly paired", len(json.loads(path.read_text())["questions"]) - 1)
    }


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("select", "its folder has no finished stage select"),
        ("attribute", "its folder has no finished stage attribute"),
        (f"attribute/{TUNED}", "its scores are gone"),
        (None, r"its scores are of version 99 of stage attribute"),
    ],
)
def test_what_the_null_run_lacks_is_said(beyond, null_run, lost, said):
    if lost:
        shutil.rmtree(null_run / lost)
    else:
        rewrite(null_run / "attribute" / "stage.json", lambda content: content.update(version=99))
    rows, missing = beyond()
    assert rows == [] and missing.startswith(said)
