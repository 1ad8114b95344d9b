"""A pair of tiny random models with the shipped tokenizer, and a config that runs the pipeline on it in seconds."""

import io
import types
from collections.abc import Sequence
from pathlib import Path

import ml_collections
import pytest
import rich.console

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig
from jaxeap.models.save import save_model
from jaxeap.pipeline import default_config, run_pipeline
from jaxeap.pipeline.runner import StageOutcome
from jaxeap.pipeline.stages import STAGES
from jaxeap.tasks.tokenizer import arithmetic_tokenizer

NAMES = [stage.name for stage in STAGES]


def statuses(outcomes: Sequence[StageOutcome]) -> dict[str, str]:
    """What a run did with each stage."""
    return {outcome.stage: outcome.status for outcome in outcomes}


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


def small_config(pair_folder: Path) -> ml_collections.ConfigDict:
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
    config.bootstrap.resamples = config.controls.resamples = 50
    # Few tests are about what these make, and every run would compile for them.
    config.audit.edges = config.controls.divergence_questions = 0
    config.controls.splits = 20
    config.circuits.sizes, config.circuits.examples, config.circuits.splits = (0.2, 0.5), 4, 2
    return config


def small_config_with_controls(pair_folder: Path) -> ml_collections.ConfigDict:
    """With every control, in small."""
    config = small_config(pair_folder)
    config.audit.edges, config.audit.examples = 5, 4
    config.controls.divergence_questions = 7
    config.controls.alphas = (0.4,)
    config.contrast.position_bands = 2
    return config


@pytest.fixture
def config(pair_folder: Path) -> ml_collections.ConfigDict:
    return small_config(pair_folder)


@pytest.fixture
def full_config(pair_folder: Path) -> ml_collections.ConfigDict:
    return small_config_with_controls(pair_folder)


def run_uncollected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for reference cycles before each model takes longer than the model; a test about memory does it."""
    for module in ("inputs.pair", "execution.out_of_memory"):
        monkeypatch.setattr(f"jaxeap.pipeline.{module}.gc", types.SimpleNamespace(collect=lambda: 0))


def run_undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than everything else at this size, and has tests of its own."""
    monkeypatch.setattr("jaxeap.pipeline.stages.report.write_figures", lambda *arguments: ())
    monkeypatch.setattr("jaxeap.pipeline.stages.report.write_figure", lambda *arguments: ())
    monkeypatch.setattr("jaxeap.pipeline.stages.report.write_page", lambda *arguments: None)
    monkeypatch.setattr("jaxeap.report.weight_contrast.weight_plot", lambda contrast: None)
    monkeypatch.setattr("jaxeap.report.weight_contrast.write_png", lambda path, figure: path)


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    run_uncollected(monkeypatch)


@pytest.fixture(scope="module")
def finished(pair_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of a run with every control; to be read, not to be run again."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_uncollected(monkeypatch)
        run_undrawn(monkeypatch)
        run_pipeline(small_config_with_controls(pair_folder), folder, rich.console.Console(file=io.StringIO()))
    return folder


def cheap(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The config with little besides scores, contrast and circuits, and these small."""
    config.audit.edges, config.correlates.max_questions, config.controls.cross_text = 0, 0, False
    config.contrast.breakdowns, config.contrast.permutations = (), 0
    config.report.figures = config.report.page = False
    config.weights.rank = 0
    config.circuits.sizes = (0.1, 6, 0.5)
    config.circuits.examples = 5
    config.circuits.splits = 4
    return config


@pytest.fixture(scope="session")
def finished_run(pair_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work directory of a finished run; to be read and not to be written to."""
    workdir = tmp_path_factory.mktemp("finished")
    run_pipeline(cheap(small_config(pair_folder)), workdir, rich.console.Console(file=io.StringIO()))
    return workdir


@pytest.fixture
def console() -> rich.console.Console:
    """Its output is read with `console.file.getvalue()`."""
    return rich.console.Console(file=io.StringIO(), width=120)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    run_undrawn(monkeypatch)
