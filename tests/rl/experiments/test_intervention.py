"""The page of the intervention: its words follow from the numbers."""

import pytest

from configs.lab.intervention import get_config
from jaxeap.rl.evaluate import Accuracy
from jaxeap.rl.experiments import intervention
from jaxeap.rl.regularisers import ActivationCorrelation
from tests.rl.experiments.planted import accuracy, planted_outcome, small


def paragraph(diversity: float, tuned, under_opposite: float = 0.0) -> str:
    """What is said of GRPO with weight 1, whose diversity changes so much more than without penalty."""
    config = small(get_config())
    planted = {"grpo_+1": {"diversity": diversity}, "grpo_-1": {"diversity": under_opposite}}
    outcome = planted_outcome(intervention.plan(config), planted, tuned)
    parts = intervention.page(config, intervention.conditions(config, outcome), outcome)
    return next(part for part in parts if part.startswith("**GRPO, penalty +1**"))


def pushed(carry: int, carry_chain: int):
    """Accuracy with weight 1, all others having 3 and 1 right."""

    def of(name: str) -> Accuracy:
        return accuracy(carry, carry_chain) if name.endswith("grpo_+1") else accuracy(3, 1)

    return of


def test_plan_varies_the_penalty_alone():
    config = small(get_config(), seeds=1)
    cells = {cell.name: cell for cell in intervention.plan(config).cells}
    assert len(cells) == 1 + 2 * 5
    assert cells["seed1/grpo_0"].settings.penalty is None
    assert cells["seed1/sft_more_-0.3"].settings.penalty == ActivationCorrelation(-0.3)
    assert cells["seed1/base"].data.levels == ()
    assert {cell.data.levels for cell in cells.values() if cell.base} == {("no_carry", "carry")}


def test_accuracy_goes_with_the_pattern():
    text = paragraph(0.5, pushed(4, 2))
    assert "diversity went the way it was pushed" in text and "supported: accuracy went with the pattern" in text


def test_accuracy_goes_against_the_pattern():
    assert "**contradicted**: accuracy went against the pattern" in paragraph(0.5, pushed(2, 0))


def test_accuracy_does_not_move():
    assert "undecided: the pattern was induced, and accuracy is not known" in paragraph(0.5, pushed(3, 1))


def test_levels_that_disagree():
    assert "on some levels and against it on others" in paragraph(0.5, pushed(4, 0))


@pytest.mark.parametrize(
    ("diversity", "told"), [(0.0, "whether diversity moved is undecided"), (-0.5, "diversity went against the push")]
)
def test_no_verdict_where_the_pattern_was_not_induced(diversity, told):
    text = paragraph(diversity, pushed(4, 2))
    assert told in text and "this is no test of it" in text and "supported" not in text


def test_what_either_push_moves_alike_was_not_induced_by_its_direction():
    text = paragraph(0.5, pushed(4, 2), under_opposite=0.5)
    assert "not known to have gone further than under the opposite push" in text and "this is no test of it" in text
    assert "supported: accuracy went with the pattern" in paragraph(0.5, pushed(4, 2), under_opposite=-0.5)


def test_weight_nought_and_known_levels_are_wanted():
    config = get_config()
    config.weights = (-1.0, 1.0)
    with pytest.raises(ValueError, match="0 must be there"):
        intervention.plan(config)
    config = get_config()
    config.held_out = "hard"
    with pytest.raises(ValueError, match="choose one of no_carry, carry, carry_chain"):
        intervention.plan(config)
