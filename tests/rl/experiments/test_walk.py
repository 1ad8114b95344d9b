"""The walker with training and contrasts that are made up: order, arguments, resuming."""

import io
from pathlib import Path

import pytest
import rich.console

from jaxeap.models.load import load_model
from jaxeap.rl.evaluate import Accuracy
from jaxeap.rl.experiments.comparison import Compared
from jaxeap.rl.experiments.data_choice import DataChoice
from jaxeap.rl.experiments.plan import Cell, Comparison, ModelRef, Plan, Probe, base_cell
from jaxeap.rl.experiments.settings import lab_config
from jaxeap.rl.experiments.walk import walk
from jaxeap.rl.sft import SFTSettings
from jaxeap.rl.training_task import streams

DATA = DataChoice(2, 128)
BASE = base_cell(2, SFTSettings(4), DATA)
TUNED = Cell("seed2/more", "sft_more", BASE.name, 2, SFTSettings(3), DATA, keep_steps=(1,))
PLAN = Plan(
    [BASE, TUNED],
    [Comparison("seed2/more", ModelRef(BASE.name), ModelRef(TUNED.name, 1), "arithmetic:test")],
    [Probe("seed2/more@1", ModelRef(TUNED.name, 1), ModelRef(BASE.name))],
)


class Work:
    """Takes down what it was asked to do."""

    def __init__(self) -> None:
        self.trained: list[tuple] = []
        self.contrasted: list[tuple] = []
        self.probed: list[tuple] = []

    def train(self, method, base, target, task, seed, settings, *, keep_steps, say, **others):
        assert (base / "config.json").is_file()
        target.mkdir(parents=True, exist_ok=True)
        (target / "config.json").write_text("{}")
        say("training")
        self.trained.append((method, base.name, target.name, len(task.demonstrations), seed, settings, keep_steps))
        return dict.fromkeys(("greedy", "sampled"), Accuracy({"carry": 1}, {"carry": 4}))

    def contrast(self, comparison, base, tuned, folder, config):
        self.contrasted.append((base, tuned, folder))
        return Compared(10, 2, {"base": 0.1, "tuned": 0.2}, None, "only 2 of 10 questions are left")

    def probe(self, model, base, questions, num_questions):
        self.probed.append((model, base, questions, num_questions))
        return {"entropy": 0.5}


@pytest.fixture
def console() -> rich.console.Console:
    return rich.console.Console(file=io.StringIO(), width=200)


def run(work: Work, folder: Path, console: rich.console.Console):
    config = lab_config("rl_methods", ("grpo",), 1)
    return walk(PLAN, folder, config, console, train=work.train, contrast=work.contrast, probe=work.probe)


def test_everything_is_done_in_order_with_the_seeds_streams(tmp_path, console):
    work = Work()
    outcome = run(work, tmp_path, console)
    seeds = streams(2)
    assert work.trained == [
        ("sft", "seed2", "base", 128, seeds.order, SFTSettings(4), ()),
        ("sft_more", "base", "more", 128, seeds.rl, SFTSettings(3), (1,)),
    ]
    kept = tmp_path / "cells" / "seed2" / "more" / "steps" / "000001"
    base = tmp_path / "cells" / "seed2" / "base"
    assert work.contrasted == [(base, kept, tmp_path / "contrasts" / "seed2" / "more")]
    assert work.probed == [(kept, base, "arithmetic:test", 300)]
    assert outcome.accuracies["seed2/more"]["greedy"].overall == 0.25
    assert outcome.compared["seed2/more"].missing
    assert outcome.probed["seed2/more@1"] == {"entropy": 0.5}
    said = console.file.getvalue()
    assert "[1/4" in said and "[4/4" in said and "only 2 of 10" in said and "right answers greedy 25.0%" in said


def test_initial_weights_are_those_of_the_seed(tmp_path, console):
    run(Work(), tmp_path, console)
    initial = load_model(tmp_path / "initial" / "seed2")
    assert (initial.config.num_layers, initial.config.embed_dim) == (3, 128)


def test_second_walk_probes_nothing_again_and_goes_through_the_rest(tmp_path, console):
    run(Work(), tmp_path, console)
    work = Work()
    outcome = run(work, tmp_path, console)
    assert work.probed == [] and outcome.probed["seed2/more@1"] == {"entropy": 0.5}
    assert len(work.trained) == 2 and len(work.contrasted) == 1  # Both know by themselves what is finished.
