"""Sentences of the pages, by hand."""

import dataclasses

from jaxeap.rl.experiments.conditions import Condition
from jaxeap.rl.experiments.effects import Effect
from jaxeap.rl.experiments.pages import mean_notes, points_words


def condition(seeds: dict[str, float], missing: dict[str, str] | None = None) -> Condition:
    empty = {field.name: {} for field in dataclasses.fields(Condition)}
    mean = sum(seeds.values()) / len(seeds)
    found = Effect("loss", "Loss", seeds, mean, (-1.0, 9.0), None, None)
    selected = {"1": 50, "2": 50, "3": 50}
    return Condition(
        **empty | {"title": "GRPO", "selected": selected, "missing": missing or {}, "effects": {"loss": found}}
    )


def test_a_mean_that_one_seed_makes_is_told():
    (note,) = mean_notes([condition({"1": 473.0, "2": 0.2, "3": -0.1})], ("loss",))
    assert note == "- GRPO, loss: the mean is seed 1's (+47,300.0%; the others -10.0%, +20.0%)."
    assert mean_notes([condition({"1": 0.5, "2": 0.01, "3": 0.02})], ("loss",)) == []
    assert mean_notes([condition({"1": 4.0, "2": 1.0, "3": 2.0})], ("loss",)) == []


def test_a_seed_without_a_part_in_the_mean_is_told():
    (note,) = mean_notes([condition({"1": 0.1, "3": 0.1})], ("loss", "intensity"))
    assert note == "- GRPO, loss: seed 2 has no relative change, being 0 in the base; the mean is over the 2 others."
    assert mean_notes([condition({"1": 0.1, "3": 0.1}, {"2": "too few"})], ("loss",)) == []


def test_differences_of_accuracy():
    assert points_words([0.1, 0.2], (-0.05, 0.35)) == "+15.0 points [-5.0, +35.0]"
    assert points_words([0.1, 0.1], (0.1, 0.1)).startswith("+10.0 points (the same in every seed, so that ")
    assert points_words([0.1], None) == "+10.0 points"
