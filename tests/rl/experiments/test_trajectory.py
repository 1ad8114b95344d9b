"""The page of the trajectory, and which checkpoints there are."""

import pytest

from configs.lab.trajectory import get_config
from jaxeap.rl.experiments import trajectory
from tests.rl.experiments.planted import planted_outcome, small


def test_every_run_has_ten_checkpoints_or_more_and_its_end():
    config = small(get_config(), seeds=1)
    for run in trajectory.RUNS:
        steps = trajectory.kept_steps(config, run)
        assert len(steps) >= 10 and steps[-1] == config.steps[run] and steps[0] >= 1
    plan = trajectory.plan(config)
    assert len(plan.probes) == 24 and len(plan.comparisons) == 36
    assert {item.text for item in plan.comparisons if "sft@" in item.name} == {"reference"}


def line_of(change_at_end: float, onset: int) -> str:
    """What is said of intensity on own answers, which changes from one checkpoint on."""
    config = small(get_config())
    steps = trajectory.kept_steps(config, "grpo")
    changed = {f"grpo@{step}_own": {"intensity": change_at_end} for step in steps if step >= onset}
    outcome = planted_outcome(trajectory.plan(config), changed)
    text = "\n".join(trajectory.page(config, trajectory.conditions(config, outcome), outcome))
    return next(line for line in text.splitlines() if line.startswith("- Activation intensity on own answers"))


def test_onset_and_verdict_follow_from_the_intervals():
    line = line_of(0.5, 24)
    assert "(as the paper says)" in line and "interval leaves 0 out at 7 of 12 checkpoints, first at step 24" in line
    assert "(against the paper)" in line_of(-0.5, 40)


def test_no_change_is_undecided():
    line = line_of(0.0, 1)
    assert "(undecided)" in line and "at no checkpoint does its interval leave 0 out" in line


def test_checkpoints_that_cannot_be_compared_leave_gaps():
    config = small(get_config())
    changed = {f"grpo@{step}_own": None for step in trajectory.kept_steps(config, "grpo")[:-2]}
    outcome = planted_outcome(trajectory.plan(config), changed)
    text = "\n".join(trajectory.page(config, trajectory.conditions(config, outcome), outcome))
    assert "intensity on own text: too few checkpoints could be compared" in text


def test_end_of_the_runs_is_wanted():
    config = get_config()
    config.checkpoints = (0.5,)
    with pytest.raises(ValueError, match=r"1.0, the end of each run, must be there"):
        trajectory.plan(config)


def test_rows_have_the_accuracies_of_their_checkpoints():
    config = small(get_config(), seeds=1)
    outcome = planted_outcome(trajectory.plan(config), {})
    found = {each.name: each for each in trajectory.conditions(config, outcome)}
    assert found["grpo@8_own"].tuned["1"] == outcome.probed["seed1/grpo@8"]["greedy_accuracy"]
    assert found["grpo@8_own"].base["1"] == outcome.probed["seed1/sft@600"]["greedy_accuracy"]
