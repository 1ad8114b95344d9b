"""The command that makes the shipped pair, at the smallest size, and the shipped pair against its cards."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from jaxeap.rl.build_pair import ANSWER_TOKENS, build_pair, encode_demonstrations, lab_config, rl_questions
from jaxeap.rl.evaluate import measure_accuracy
from jaxeap.rl.grpo import GRPOSettings
from jaxeap.rl.sft import SFTSettings
from jaxeap.tasks.arithmetic import arithmetic_problems, arithmetic_questions
from jaxeap.tasks.tokenizer import arithmetic_tokenizer, load_tokenizer

pytestmark = pytest.mark.standard_promotion

SHIPPED = Path(__file__).resolve().parents[2] / "pairs" / "arithmetic"


def test_demonstrations_are_split_behind_the_equals_sign() -> None:
    tokenizer = arithmetic_tokenizer()
    answered = encode_demonstrations(["37+58=590", "40-11=920"], tokenizer)
    assert [tokenizer.decode(row) for row in answered.prompts] == ["37+58=", "40-11="]
    assert [tokenizer.decode(row) for row in answered.answers] == ["590<eos>", "920<eos>"]
    assert answered.mask.all()


def test_rl_questions_keep_all_carries_and_few_others() -> None:
    kept, every = rl_questions(0.35, np.random.default_rng(0)), arithmetic_problems("train")
    plain = sum(question.level == "no_carry" for question in kept)
    assert len(kept) - plain == sum(question.level != "no_carry" for question in every)
    assert plain / (len(every) - (len(kept) - plain)) == pytest.approx(0.35, abs=0.02)


def test_a_small_pair_is_built_twice_alike_with_cards(model: Decoder, tmp_path: Path) -> None:
    options = dict(
        model_config=model.config,
        sft=SFTSettings(steps=3, batch_size=8),
        grpo=GRPOSettings(steps=2, prompts_per_step=4, group_size=2),
        test_questions=arithmetic_questions("test", 12, seed=0),
        command="python -m somewhere",
    )
    measured = [build_pair(tmp_path / name, 3, **options) for name in ("one", "two")]
    assert measured[0] == measured[1]
    for kind in ("base", "grpo"):
        one, two = (load_model(tmp_path / name / kind) for name in ("one", "two"))
        jax.tree.map(np.testing.assert_array_equal, one.weights, two.weights)
        record = json.loads((tmp_path / "one" / kind / "training.json").read_text())
        assert record["command"] == "python -m somewhere"
        assert record["accuracy"]["sampled"]["overall"] == measured[0][kind]["sampled"].overall
        assert list(record["recipe"])[-1] == {"base": "sft", "grpo": "grpo"}[kind]
        assert load_tokenizer(tmp_path / "one" / kind).eos_token == "<eos>"


def test_the_lab_decoder_has_as_many_parameters_as_its_recipe_says() -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(Decoder.random(lab_config(32)).weights)) == pytest.approx(
        590_000, rel=0.01
    )


@pytest.fixture(scope="module", params=["base", "grpo"])
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


def test_shipped_pair_is_the_one_that_was_asked_for() -> None:
    base, tuned = (json.loads((SHIPPED / kind / "training.json").read_text()) for kind in ("base", "grpo"))
    assert 0.35 <= base["accuracy"]["greedy"]["overall"] <= 0.70
    assert tuned["accuracy"]["greedy"]["overall"] - base["accuracy"]["greedy"]["overall"] >= 0.15
    assert (base["seed"], base["command"]) == (tuned["seed"], tuned["command"])
    # The cards' recipe is what the command does.
    assert base["recipe"]["sft"] | {} == json.loads(json.dumps(SFTSettings().__dict__, default=vars))
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*.*")) < 6e6
