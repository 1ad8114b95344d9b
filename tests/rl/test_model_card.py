"""The card and its twin for programs."""

import json
from pathlib import Path

import jax

from jaxeap.rl.evaluate import Accuracy
from jaxeap.rl.model_card import TrainingRecord, card_text, write_record

RECORD = TrainingRecord(
    name="arithmetic/base",
    summary="A model.",
    task="A task.",
    command="python -m jaxeap.rl.build_pair --seed=1",
    seed=1,
    parameters=1234567,
    recipe={"sft": {"steps": 600, "optimizer": {"learning_rate": 0.002}}},
    seconds={"sft": 61.4},
    accuracy={
        "greedy": Accuracy({"carry": 1, "no_carry": 3}, {"carry": 4, "no_carry": 4}),
        "sampled": Accuracy({"carry": 2, "no_carry": 2}, {"carry": 4, "no_carry": 4}),
    },
)


def test_card_says_how_it_was_made_and_what_it_can_do() -> None:
    lines = card_text(RECORD).splitlines()
    assert "| all | 8 | 50.0% | 50.0% |" in lines
    assert "| carry | 4 | 25.0% | 50.0% |" in lines
    assert "| no_carry | 4 | 75.0% | 50.0% |" in lines
    assert "    python -m jaxeap.rl.build_pair --seed=1" in lines
    assert "Seed of the last stage: 1; 1,234,567 parameters; wall clock: sft 61 s." in lines
    assert "- sft: steps 600, learning_rate 0.002" in lines


def test_record_is_readable_by_programs(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    content = json.loads((tmp_path / "training.json").read_text())
    assert content["accuracy"]["greedy"] == {
        "overall": 0.5,
        "right": {"carry": 1, "no_carry": 3},
        "asked": {"carry": 4, "no_carry": 4},
    }
    assert content["seed"] == 1 and content["versions"]["jax"] == jax.__version__
    assert (tmp_path / "README.md").read_text() == card_text(RECORD)
