"""A pair of tiny random models with the shipped tokenizer, and a config that runs the pipeline on it in seconds."""

import io
from pathlib import Path

import ml_collections
import pytest
import rich.console

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig
from jaxeap.models.save import save_model
from jaxeap.pipeline import default_config
from jaxeap.tasks.tokenizer import arithmetic_tokenizer


def tiny_model_config() -> ModelConfig:
    return ModelConfig(
        family="qwen2",
        vocab_size=32,
        embed_dim=16,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=8,
        mlp_dim=24,
        activation="silu",
        norm_epsilon=1e-6,
        rope=RopeConfig(theta=10_000.0),
        windows=(None, None),
        qkv_bias=True,
        tied_embeddings=True,
    )


@pytest.fixture(scope="session")
def pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    for seed, role in enumerate(("base", "tuned")):
        save_model(Decoder.random(tiny_model_config(), seed), folder / role, arithmetic_tokenizer())
    return folder


@pytest.fixture
def config(pair_folder: Path) -> ml_collections.ConfigDict:
    """Random models answer nothing rightly, so the questions that both get wrong are compared."""
    config = default_config()
    config.base, config.tuned = str(pair_folder / "base"), str(pair_folder / "tuned")
    config.questions = "arithmetic:test"
    config.num_questions = 11
    config.sampling.max_new_tokens = 5
    config.sampling.batch_size = 4
    config.selection.correctness = "both_wrong"
    config.selection.alpha = 1.0
    config.attribution.batch_size = 3
    config.bootstrap.resamples = 50
    return config


@pytest.fixture
def console() -> rich.console.Console:
    """Its output is read with `console.file.getvalue()`."""
    return rich.console.Console(file=io.StringIO(), width=120)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch, config: ml_collections.ConfigDict) -> None:
    """Drawing takes longer than everything else at this size, and has tests of its own."""
    monkeypatch.setattr("jaxeap.pipeline.stages.report.write_figures", lambda *arguments: ())
    config.report.page = False
    monkeypatch.setattr("jaxeap.report.weight_contrast.weight_plot", lambda contrast: None)
    monkeypatch.setattr("jaxeap.report.weight_contrast.write_png", lambda path, figure: path)
