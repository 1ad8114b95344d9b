"""The line as a whole."""

from jaxeap.pipeline.stages import STAGES


def test_stages_are_those_of_the_design_and_need_earlier_ones_alone():
    names = [stage.name for stage in STAGES]
    assert names == [
        "respond",
        "grade",
        "select",
        "attribute",
        "audit",
        "truncations",
        "bands",
        "divergence",
        "contrast",
        "circuits",
        "weights",
        "controls",
        "correlates",
        "exports",
        "report",
    ]
    for index, stage in enumerate(STAGES):
        assert set(stage.needs) <= set(names[:index])


def test_every_result_is_read_by_a_later_stage_or_by_people():
    needed = {name for stage in STAGES for name in stage.needs}
    assert {stage.name for stage in STAGES} - needed == {"report", "exports"}
