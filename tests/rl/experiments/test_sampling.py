"""The page of sampling, and what each variant changes."""

import pytest

from configs.lab.sampling import get_config
from jaxeap.rl.experiments import sampling
from tests.rl.experiments.planted import planted_outcome, small


def section(changed, factor: str = "temperature") -> str:
    config = small(get_config())
    outcome = planted_outcome(sampling.plan(config), changed)
    parts = sampling.page(config, sampling.conditions(config, outcome), outcome)
    return parts[parts.index(f"figure:{factor}") + 1]


def test_one_factor_at_a_time():
    config = small(get_config(), seeds=1)
    cells = {cell.name.removeprefix("seed1/"): cell for cell in sampling.plan(config).cells}
    default = cells["default"]
    assert cells["temperature=0.3"].settings.temperature == 0.3
    assert cells["temperature=0.3"].settings.group_size == default.settings.group_size == 8
    assert cells["num_prompts=32"].settings == default.settings and cells["num_prompts=32"].data.num_prompts == 32
    stale = cells["batches_per_rollout=16"].settings
    assert stale.steps * stale.updates_per_step == default.settings.steps * default.settings.updates_per_step


def test_rises_falls_or_undecided():
    line = "Inter-sample diversity, change from base at temperature 1.5 minus that at 0.3"
    up = section({"temperature=1.5": {"diversity": 0.5}})
    assert "rises with it" in next(each for each in up.splitlines() if line in each)
    down = section({"temperature=0.3": {"diversity": 0.5}})
    assert "falls with it" in next(each for each in down.splitlines() if line in each)
    none = section({})
    assert "undecided" in next(each for each in none.splitlines() if line in each)
    assert "Accuracy at temperature 1.5 beside 0.3: +0.0 points (the same in every seed, so that there is" in none


def test_ends_that_are_missing_are_not_judged():
    assert "intensity: not measured at both ends" in section({"temperature=0.3": None})


def test_unknown_factor_is_refused():
    config = get_config()
    config.factors.patience = (1, 2)
    with pytest.raises(ValueError, match=r"config.factors has 'patience'"):
        sampling.plan(config)
