"""The experiments: each config loads, says what a reader must know, and runs on models of its kind."""

import importlib.util
import json
from pathlib import Path

import jax.numpy as jnp
import ml_collections
import pytest
import rich.console
import tokenizers
import transformers

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig
from jaxeap.models.save import save_model
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.settings import validate
from jaxeap.pipeline.stages.respond import responses_of
from jaxeap.tasks.questions import Question, write_questions

FOLDER = Path(__file__).resolve().parents[1] / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def module_of(name: str):
    spec = importlib.util.spec_from_file_location(f"configs.{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(name: str) -> ml_collections.ConfigDict:
    return module_of(name).get_config()


@pytest.mark.parametrize("name", NAMES)
def test_config_is_valid_once_the_pair_and_the_questions_are_given(name):
    config = load(name)
    for key in ("base", "tuned", "questions"):
        config[key] = config[key] or "given"
    validate(config)


@pytest.mark.parametrize("name", NAMES)
def test_docstring_names_paper_row_command_and_hardware(name):
    text = module_of(name).__doc__
    for heading in ("Paper row:", "Command:", "Hardware:", "Time:", f"--config=configs/{name}.py"):
        assert heading in text, heading


def test_demo_finds_its_pair_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load("tiny_grpo")
    for folder in (config.base, config.tuned):
        assert Path(folder).is_absolute()
        assert (Path(folder) / "model.safetensors").is_file()


CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One token a byte, and Qwen's markers of a conversation."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(tokenizers.models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


def test_flagship_runs_on_small_models_of_its_kind(tmp_path, monkeypatch):
    """bfloat16, the paper's prompt, several stop tokens, questions from a file, answers graded by value."""
    pytest.importorskip("math_verify")
    tokenizer = chat_tokenizer()
    shape = ModelConfig(
        family="qwen2",
        vocab_size=272,
        embed_dim=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        mlp_dim=48,
        activation="silu",
        norm_epsilon=1e-6,
        rope=RopeConfig(theta=1e6),
        windows=(None, None),
        qkv_bias=True,
        tied_embeddings=False,
    )
    for seed, role in enumerate(("base", "tuned")):
        save_model(Decoder.random(shape, seed, jnp.float32), tmp_path / role, tokenizer)
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
