"""What a plan refuses."""

import dataclasses

import pytest

from jaxeap.rl.experiments.data_choice import DataChoice
from jaxeap.rl.experiments.plan import Cell, Comparison, ModelRef, Plan, Probe, base_cell
from jaxeap.rl.sft import SFTSettings

BASE = base_cell(1, SFTSettings(), DataChoice(1, 128))
NEXT = Cell("next", "sft_more", BASE.name, 1, SFTSettings(), DataChoice(1, 128), keep_steps=(2,))


def comparison(**changes) -> Comparison:
    whole = Comparison("c", ModelRef(BASE.name), ModelRef("next"), "arithmetic:test")
    return dataclasses.replace(whole, **changes)


def test_cells_stand_behind_their_bases():
    Plan([BASE, NEXT], [comparison()])
    with pytest.raises(ValueError, match="starts from 'seed1/base'"):
        Plan([NEXT, BASE], [])


def test_names_are_unique():
    with pytest.raises(ValueError, match="two cells are called"):
        Plan([BASE, BASE], [])
    with pytest.raises(ValueError, match="two of a plan's parts are called 'c'"):
        Plan([BASE, NEXT], [comparison(), comparison()])


def test_models_must_be_made():
    with pytest.raises(ValueError, match="which no cell makes"):
        Plan([BASE, NEXT], [comparison(tuned=ModelRef("nowhere"))])
    with pytest.raises(ValueError, match="which no cell makes"):
        Plan([BASE, NEXT], [comparison(tuned=ModelRef("next", 3))])
    Plan([BASE, NEXT], [comparison(tuned=ModelRef("next", 2))], [Probe("p", ModelRef("next", 2), ModelRef("next"))])


def test_methods_are_known():
    with pytest.raises(ValueError, match="there is no method"):
        Plan([dataclasses.replace(BASE, method="magic")], [])
