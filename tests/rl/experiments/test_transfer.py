"""The page of the transfer: its words follow from the numbers."""

import pytest

from configs.lab.transfer import get_config
from jaxeap.rl.experiments import transfer
from tests.rl.experiments.planted import planted_outcome, small


def text_of(changed) -> str:
    config = small(get_config())
    outcome = planted_outcome(transfer.plan(config), changed)
    return "\n".join(transfer.page(config, transfer.conditions(config, outcome), outcome))


def intensity_line(text: str) -> str:
    """Of GRPO on own answers."""
    section = text[text.index("### GRPO") :]
    return next(line for line in section.splitlines() if line.startswith("- Activation intensity"))


def test_plan_trains_on_arithmetic_alone_a_base_of_both():
    config = small(get_config(), seeds=1)
    plan = transfer.plan(config)
    assert [cell.data.also for cell in plan.cells] == ["reversal", None, None, None]
    assert {item.questions for item in plan.comparisons} == {"arithmetic:test", "reversal:test"}
    assert len(plan.comparisons) == 3 * 4


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        (0.5, 0.4, "carries over: the same way on both"),
        (0.5, -0.4, "does not carry over: the other way there"),
        (0.5, 0.0, "undecided: changed on arithmetic, and not known"),
        (0.0, 0.5, "undecided: no change is established on arithmetic itself"),
    ],
)
def test_reading(here, there, told):
    text = text_of({"grpo_arithmetic_own": {"intensity": here}, "grpo_other_own": {"intensity": there}})
    assert told in intensity_line(text)


def test_a_task_that_models_cannot_do_is_told():
    """Then the own answers are missing, and the right ones are what is left."""
    text = text_of({f"{method}_other_own": None for method in get_config().methods})
    assert "cannot do it well enough to be compared on their own answers" in text
    assert "not measured on both" in intensity_line(text)
    assert "cannot do it" not in text_of({})


def test_summary_counts_online_rl_alone():
    text = text_of({"grpo_arithmetic_own": {"intensity": 0.5}, "grpo_other_own": {"intensity": 0.5}})
    assert "Of 16 comparisons under online RL (GRPO, PPO), 1 carry over, 0 go the other way, 15 are undecided" in text
