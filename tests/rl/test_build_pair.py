"""The command that makes the shipped pair, at the smallest size, and the shipped pair against its cards."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from jaxeap.rl.build_pair import build_models, lab_config
from jaxeap.rl.evaluate import measure_accuracy
from jaxeap.rl.grpo import GRPOSettings
from jaxeap.rl.methods import METHODS
from jaxeap.rl.sft import SFTSettings
from jaxeap.rl.training_task import ANSWER_TOKENS
from jaxeap.tasks.arithmetic import arithmetic_problems, arithmetic_questions
from jaxeap.tasks.tokenizer import load_tokenizer

pytestmark = pytest.mark.standard_promotion

SHIPPED = Path(__file__).resolve().parents[2] / "pairs" / "arithmetic"


@pytest.mark.slow
def test_small_models_are_built_twice_alike_with_cards(model: Decoder, tmp_path: Path) -> None:
    options = dict(
        methods=("grpo", "sft_more"),
        model_config=model.config,
        sft=SFTSettings(steps=3, batch_size=8),
        settings={
            "grpo": GRPOSettings(steps=2, prompts_per_step=4, group_size=2),
            "sft_more": SFTSettings(steps=2, batch_size=8),
        },
        test_questions=arithmetic_questions("test", 12, seed=0),
        command="python -m somewhere",
    )
    measured = [build_models(tmp_path / name, tmp_path / f"work_{name}", 3, **options) for name in ("one", "two")]
    assert measured[0] == measured[1]
    recipes = {"base": ["data", "sft"], "grpo": ["data", "sft", "grpo"], "sft_more": ["data", "sft", "sft_more"]}
    for name, recipe in recipes.items():
        one, two = (load_model(tmp_path / folder / name) for folder in ("one", "two"))
        jax.tree.map(np.testing.assert_array_equal, one.weights, two.weights)
        record = json.loads((tmp_path / "one" / name / "training.json").read_text())
        assert record["name"] == f"arithmetic/{name}" and record["command"] == "python -m somewhere"
        assert record["accuracy"]["sampled"]["overall"] == measured[0][name]["sampled"].overall
        assert list(record["recipe"]) == recipe and list(record["seconds"]) == recipe[1:]
        assert load_tokenizer(tmp_path / "one" / name).eos_token == "<eos>"
        assert not (tmp_path / "one" / name / "run").exists()
        assert "local" not in (tmp_path / "one" / name / "tokenizer_config.json").read_text()


def test_the_lab_decoder_has_as_many_parameters_as_its_recipe_says() -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(Decoder.random(lab_config(32)).weights)) == pytest.approx(
        590_000, rel=0.01
    )


@pytest.fixture(scope="module", params=["base", "grpo", "ppo", "dpo", "sft_more"])
def shipped(request: pytest.FixtureRequest) -> Path:
    return SHIPPED / request.param


def test_shipped_models_are_as_accurate_as_their_cards_say(shipped: Path) -> None:
    record = json.loads((shipped / "training.json").read_text())["accuracy"]["greedy"]
    questions = arithmetic_problems("test")
    accuracy = measure_accuracy(load_model(shipped), load_tokenizer(shipped), questions, max_new_tokens=ANSWER_TOKENS)
    assert dict(accuracy.asked) == record["asked"]
    # Another machine rounds differently, which may turn answers that were as good as undecided.
    assert accuracy.overall == pytest.approx(record["overall"], abs=0.005)
    card = (shipped / "README.md").read_text()
    assert f"| all | {len(questions)} | {100 * record['overall']:.1f}% |" in card


def test_shipped_models_are_the_ones_that_were_asked_for() -> None:
    records = {folder.name: json.loads((folder / "training.json").read_text()) for folder in SHIPPED.iterdir()}
    assert set(records) == {"base", "grpo", "ppo", "dpo", "sft_more"}
    greedy = {name: record["accuracy"]["greedy"]["overall"] for name, record in records.items()}
    assert 0.45 <= greedy["base"] <= 0.65
    assert all(greedy[name] - greedy["base"] >= 0.2 for name in ("grpo", "ppo", "dpo"))
    assert abs(greedy["sft_more"] - greedy["base"]) <= 0.08
    assert len({record["command"] for record in records.values()}) == 1
    # The cards' recipes are what the command does.
    for name, record in records.items():
        stage = "sft" if name == "base" else name
        assert record["recipe"][stage] == json.loads(json.dumps(dataclasses.asdict(METHODS[stage].settings)))
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*.*")) < 15e6
