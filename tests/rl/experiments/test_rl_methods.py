"""The page of the methods: its words follow from the numbers."""

import pytest

from configs.lab.rl_methods import get_config
from jaxeap.rl.experiments import rl_methods
from tests.rl.experiments.planted import accuracy, planted_outcome, small

CLAIMED = {"intensity": 0.4, "complexity": 0.3, "kurtosis": -0.3, "diversity": 0.2}
OPPOSITE = {metric: -change for metric, change in CLAIMED.items()}


def text_of(changed) -> str:
    config = small(get_config())
    outcome = planted_outcome(rl_methods.plan(config), changed, lambda name: accuracy(4, 2))
    return "\n\n".join(rl_methods.page(config, rl_methods.conditions(config, outcome), outcome))


def test_plan_has_every_method_for_every_seed():
    config = small(get_config(), seeds=2)
    plan = rl_methods.plan(config)
    assert [cell.name for cell in plan.cells[:3]] == ["seed1/base", "seed1/sft_more", "seed1/rejection"]
    assert len(plan.cells) == 2 * 7 and len(plan.comparisons) == 2 * 6
    assert {cell.base for cell in plan.cells} == {None, "seed1/base", "seed2/base"}
    assert plan.cells[0].data == plan.cells[1].data  # the null sees the very data that made the base


def test_supported():
    text = text_of({"grpo": CLAIMED, "ppo": CLAIMED})
    assert text.count("the claim is supported at this scale") == 4
    assert "contradicted" not in text
    assert "None of the paper's metrics is known to move under the null" in text
    assert "online RL moves it up more than the null does is supported" in text
    assert text.count("no change is established (the paper finds weak or inconsistent ones)") == 4
    assert "+30.0 (sampled at temperature 1: +30.0)" in text


def test_contradicted():
    text = text_of({"grpo": OPPOSITE, "ppo": OPPOSITE})
    assert text.count("the claim is contradicted at this scale") == 4
    assert "the claim is supported at this scale" not in text
    assert "online RL moves it down more than the null does is **contradicted**" in text


def test_undecided():
    text = text_of({})
    assert text.count(": undecided.\n") == 4
    assert "the claim is supported" not in text and "contradicted" not in text


def test_methods_that_disagree():
    assert text_of({"grpo": CLAIMED, "ppo": OPPOSITE}).count("the methods disagree") == 4
    assert text_of({"grpo": CLAIMED}).count("the claim is supported for some of the methods only") == 4
    assert text_of({"ppo": OPPOSITE}).count("contradicted for some of the methods, and supported for none") == 4


def test_a_null_that_moves_is_told():
    text = text_of({each: CLAIMED for each in ("sft_more", "grpo", "ppo", "dpo")})
    assert "The null is not one in activation intensity (up)" in text
    assert "more than the null does is undecided" in text
    assert text.count("is not known to do so more than the null") == 2


def test_dpo_that_moves_more_than_the_null_shows_the_change():
    assert text_of({"dpo": CLAIMED}).count("it shows the change that the paper reserves to online RL") == 2


def test_missing_contrasts_are_listed_and_not_judged():
    text = text_of({"ppo": None, "grpo": CLAIMED})
    assert "PPO: no value: not measured: too few questions." in text
    assert "- PPO: no contrast for seed 1 (only 3 of 50 questions are left), seed 2" in text


@pytest.mark.parametrize("changed", [{"grpo": CLAIMED}, {"grpo": None}])
def test_figure_has_a_panel_a_metric(changed):
    config = small(get_config())
    outcome = planted_outcome(rl_methods.plan(config), changed)
    drawn = rl_methods.figures(config, rl_methods.conditions(config, outcome), outcome)
    _, figure = drawn["changes"]
    assert [axes.get_title().splitlines()[0] for axes in figure.axes][:2] == [
        "Activation intensity",
        "Information complexity",
    ]
