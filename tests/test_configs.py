"""The experiments: each config loads, says what a reader must know, and runs on models of its kind."""

import importlib.util
import itertools
import json
from pathlib import Path

import jax.numpy as jnp
import ml_collections
import pytest
import rich.console

from jaxeap.models.model import Decoder
from jaxeap.models.save import save_model
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.grid import cells_of, is_grid
from jaxeap.pipeline.planning import plan_run
from jaxeap.pipeline.planning.shapes import planned_config
from jaxeap.pipeline.settings import flat
from jaxeap.pipeline.stages.respond import responses_of
from jaxeap.pipeline.validation import validate
from jaxeap.report.published import PUBLISHED
from jaxeap.tasks.questions import Question, write_questions
from tests.chat_model import chat_tokenizer, flagship_shape

FOLDER = Path(__file__).resolve().parents[1] / "configs"
NAMES = sorted(
    str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.py") if path.parent.name != "lab"
)


def module_of(name: str):
    spec = importlib.util.spec_from_file_location(f"configs.{name.replace('/', '.')}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name: str) -> ml_collections.ConfigDict:
    return module_of(name).get_config()


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def runs_of(name: str) -> list[ml_collections.ConfigDict]:
    """The config, or those of its cells, with what a user must give."""
    config = load(name)
    runs = [cell.config for cell in cells_of(config)] if is_grid(config) else [config]
    for run in runs:
        if run.questions.startswith("hub:"):
            run.question_revision = COMMIT
    return runs


@pytest.mark.parametrize("name", NAMES)
def test_config_is_valid_once_the_questions_are_pinned(name):
    if "tiny" not in name:
        pytest.importorskip("math_verify")
    for run in runs_of(name):
        validate(run)


@pytest.mark.parametrize("name", NAMES)
def test_the_shape_of_every_model_is_known_without_a_network(name, monkeypatch):
    monkeypatch.setattr("jaxeap.pipeline.planning.shapes.snapshot", lambda *_: pytest.fail("asked the Hub"))
    for run in runs_of(name):
        base, tuned = (planned_config(run[role])[0] for role in ("base", "tuned"))
        assert (base.num_layers, base.num_heads, base.embed_dim) == (tuned.num_layers, tuned.num_heads, tuned.embed_dim)


@pytest.mark.parametrize("name", ["qwen_grpo", *(f"paper/{n}" for n in ("deepseek_math", "mistral", "qwen25"))])
def test_a_7b_config_fits_one_80_gb_device_as_it_stands(name):
    pytest.importorskip("math_verify")
    config = load(name)
    config.plan.device_gb = 80.0
    plan = plan_run(config)
    assert plan.problems == ()
    assert 6e9 < plan.parameters < 8e9


def test_published_figures_stand_in_the_docstring_of_the_config_that_would_give_them():
    grid = load("grid/paper")
    by_name = {cell.name: cell.config for cell in cells_of(grid)}
    for cell in PUBLISHED:
        run, single = by_name[f"{cell.pair}/{cell.dataset}/alpha_{cell.alpha:g}"], load(f"paper/{cell.pair}")
        assert flat(run) == flat(single)
        text = module_of(f"paper/{cell.pair}").__doc__
        assert f"alpha {cell.alpha:g} ({cell.method})" in text
        numbers = [float(word.rstrip(",.")) for word in text.split() if word[:1].isdigit() and is_number(word)]
        for base, tuned in cell.values.values():
            assert any((base, tuned) == pair for pair in itertools.pairwise(numbers)), (base, tuned)


def is_number(word: str) -> bool:
    try:
        float(word.rstrip(",."))
    except ValueError:
        return False
    return True


def test_checkpoints_of_a_run_are_its_revisions():
    grid = module_of("rlvr/checkpoints").get_config("step-10,main")
    assert [cell.config.tuned.partition("@")[2] for cell in cells_of(grid)] == ["main", "step-10"]


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_paper_row_command_and_hardware(name):
    text = module_of(name).__doc__
    for heading in ("Paper row:", "Command:", "Hardware:", "Time:", "--workdir=", f"--config=configs/{name}.py"):
        assert heading in text, heading


def test_demo_finds_its_pair_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load("tiny_grpo")
    for folder in (config.base, config.tuned):
        assert Path(folder).is_absolute()
        assert (Path(folder) / "model.safetensors").is_file()


@pytest.mark.slow
def test_flagship_runs_on_small_models_of_its_kind(tmp_path, monkeypatch):
    """bfloat16, the paper's prompt, several stop tokens, questions from a file, answers graded by value."""
    pytest.importorskip("math_verify")
    tokenizer = chat_tokenizer()
    for seed, role in enumerate(("base", "tuned")):
        save_model(Decoder.random(flagship_shape(), seed, jnp.float32), tmp_path / role, tokenizer)
        stops = {"eos_token_id": [tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")]}
        (tmp_path / role / "generation_config.json").write_text(json.dumps(stops))
    questions = [Question(str(n), f"What is {n} + {n * n}?", str(n + n * n)) for n in range(5)]
    write_questions(tmp_path / "questions.jsonl", questions)
    monkeypatch.setattr("jaxeap.pipeline.stages.report.write_figures", lambda *arguments: ())

    config = load("qwen_grpo")
    config.base, config.tuned = str(tmp_path / "base"), str(tmp_path / "tuned")
    config.questions = str(tmp_path / "questions.jsonl")
    config.num_questions = 4
    config.sampling.max_new_tokens = 24
    config.selection.correctness = "both_wrong"  # Models that were never trained get nothing right.
    config.bootstrap.resamples = 50
    run_pipeline(config, tmp_path / "w", rich.console.Console(quiet=True))

    metrics = json.loads((tmp_path / "w" / "metrics.json").read_text())
    assert metrics["contrast"]["examples"] >= 1
    assert metrics["selection"]["cut_length"] == 2
    by_id = {question.id: question for question in questions}
    for role in ("base", "tuned"):
        for response in responses_of(tmp_path / "w" / "respond", role):
            assert tokenizer.decode(list(response.prompt_tokens)) == (
                f"User: {by_id[response.question_id].question}\nPlease reason step by step, and put your final answer "
                "within \\boxed{}.\n\nAssistant:"
            )
