"""run.py as a user meets it: what it prints, its exit status, and which errors keep their traceback."""

import errno
import importlib.util
import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import pytest
from absl import flags

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig
from jaxeap.models.save import save_model
from jaxeap.pipeline.storage.disk import DiskFullError
from jaxeap.pipeline.storage.workdir import open_workdir
from jaxeap.tasks.questions import Question, write_questions
from jaxeap.tasks.tokenizer import arithmetic_tokenizer
from tests.chat_model import chat_tokenizer, flagship_shape

REPOSITORY = Path(__file__).resolve().parents[1]

CONFIG = """
from jaxeap.pipeline.settings import default_config

def get_config():
    config = default_config()
    config.questions = "arithmetic:test"
    config.num_questions = 6
    config.sampling.max_new_tokens = 4
    config.selection.correctness = "both_wrong"
    config.bootstrap.resamples = 20
    config.report.figures = False
    return config
"""


@pytest.fixture(scope="module")
def run() -> Iterator[types.ModuleType]:
    """run.py. Flags that other commands require, whose modules other tests of this process imported, are set aside."""
    required = {name: flags.FLAGS[name] for name in flags.FLAGS if flags.FLAGS[name].validators}
    for name in required:
        delattr(flags.FLAGS, name)
    spec = importlib.util.spec_from_file_location("run", REPOSITORY / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name, flag in required.items():
        flags.FLAGS[name] = flag


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = ModelConfig(
        family="qwen2",
        vocab_size=32,
        embed_dim=8,
        num_layers=1,
        num_heads=1,
        num_kv_heads=1,
        head_dim=8,
        mlp_dim=8,
        activation="silu",
        norm_epsilon=1e-6,
        rope=RopeConfig(theta=10_000.0),
        windows=(None,),
        qkv_bias=True,
        tied_embeddings=True,
    )
    folder = tmp_path_factory.mktemp("model") / "model"
    save_model(Decoder.random(config), folder, arithmetic_tokenizer())
    return folder


def started(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(REPOSITORY / "run.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_run_from_another_folder_prints_the_table_and_where_the_files_are(model_folder, tmp_path):
    (tmp_path / "experiment.py").write_text(CONFIG)
    os.symlink(model_folder, tmp_path / "model")
    arguments = ("--config=experiment.py", "--workdir=w", "--config.base=model", "--config.tuned=model")
    first = started(*arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    for text in ("Activation intensity", "Difference", "95%", "interval", "w/metrics.json", "attribute", " s: respond"):
        assert text in first.stdout, text
    assert json.loads((tmp_path / "w" / "metrics.json").read_text())["contrast"]["metrics"]["intensity"]["base"] > 0

    with open_workdir(tmp_path / "w"):
        refused = started(*arguments, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: w is in use by another run")
    assert "plan" not in refused.stdout, "the device is the other run's"
    assert "Traceback" not in refused.stderr


def test_wrong_key_ends_with_one_line(run, capsys):
    assert run.main(["run.py", "--config=configs/tiny_grpo.py", "--workdir=w", "--config.selection.alpah=1"]) == 1
    assert (
        capsys.readouterr().err == "error: --config has no setting 'selection.alpah'; did you mean 'selection.alpha'?\n"
    )


def test_wrong_group_in_a_config_file_is_named(tmp_path):
    text = CONFIG.replace("return config", "config.selecton.alpha = 1.0\n    return config")
    (tmp_path / "experiment.py").write_text(text)
    ended = started("--config=experiment.py", "--workdir=w", cwd=tmp_path)
    assert ended.returncode == 1
    (line,) = ended.stderr.strip().splitlines()
    number = text.splitlines().index("    config.selecton.alpha = 1.0") + 1
    assert line == f"error: experiment.py, line {number}: there is no setting 'selecton'; did you mean 'selection'?"
    assert not (tmp_path / "w").exists()


def test_dry_run_prints_the_plan_and_reads_no_weight(run, capsys, monkeypatch, tmp_path):
    folder = REPOSITORY / "pairs" / "arithmetic" / "base"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_bytes((folder / "config.json").read_bytes())
    arguments = ["run.py", "--config=configs/tiny_grpo.py", "--dry_run", "--config.num_questions=none"]
    arguments += [f"--config.{role}={tmp_path / 'model'}" for role in ("base", "tuned")]
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(run, "run_pipeline", lambda *_: pytest.fail("it ran"))
    assert run.main(arguments) == 0
    said = capsys.readouterr().out
    for text in ("questions  2,461", "prompts were not counted", "fits: "):
        assert text in said, text


def test_what_must_have_a_value_cannot_be_unset(run, capsys):
    assert run.main(["run.py", "--config=configs/tiny_grpo.py", "--config.dtype=none"]) == 1
    said = capsys.readouterr().err
    assert "error: --config.dtype=none: it must have a value; none is for adapter_base, " in said
    assert ", sampling.cache_tokens, selection.max_pairs" in said
    assert run.unset_keys(["run.py", "--config.selection.max_pairs=none", "--config.dtype=float32"]) == [
        "selection.max_pairs"
    ]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--config.selection.alpha=x", "--config.selection.alpha=x: it takes a number"),
        ("--config.contrast.edges=maybe", "--config.contrast.edges=maybe: it takes true or false"),
        ("--wrkdir=w", "there is no flag --wrkdir; did you mean --workdir?"),
    ],
)
def test_what_a_flag_takes_is_said_in_one_line(run, capsys, monkeypatch, argument, said):
    arguments = ["run.py", "--config=configs/tiny_grpo.py", argument]
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", arguments)
    assert run.main(arguments) == 1
    assert capsys.readouterr().err == f"error: {said}\n"


def test_errors_of_the_operating_system_name_the_file(run):
    assert run.message_for_user(NotADirectoryError(20, "Not a directory", "a/b")) == "a/b: not a directory"
    full = DiskFullError("no room in /Runs/A: 68 KiB are free")
    full.errno = errno.ENOSPC
    assert run.message_for_user(full) == "no room in /Runs/A: 68 KiB are free"


def test_missing_config_file_is_named(run, capsys):
    assert run.main(["run.py", "--config=configs/no_such.py:main", "--workdir=w"]) == 1
    assert (
        "error: there is no config file configs/no_such.py; the project's own lie in configs/"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_flagship_from_the_command_line_on_small_models(tmp_path):
    """The command of its docstring, with what untrained models need: short answers, none of them right."""
    pytest.importorskip("math_verify")
    for seed, role in enumerate(("base", "tuned")):
        save_model(Decoder.random(flagship_shape(), seed), tmp_path / role, chat_tokenizer())
    write_questions(tmp_path / "q.jsonl", [Question(str(n), f"What is {n} + 1?", str(n + 1)) for n in range(5)])
    ended = started(
        "--config=" + str(REPOSITORY / "configs" / "qwen_grpo.py"),
        "--workdir=w",
        *(f"--config.{role}={role}" for role in ("base", "tuned")),
        "--config.questions=q.jsonl",
        "--config.num_questions=none",
        "--config.sampling.max_new_tokens=24",
        "--config.selection.correctness=both_wrong",
        "--config.bootstrap.resamples=50",
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert "plan: 5 questions" in ended.stdout
    assert json.loads((tmp_path / "w" / "metrics.json").read_text())["contrast"]["examples"] >= 1


@pytest.mark.slow
def test_tiny_grid_from_the_command_line(tmp_path):
    arguments = ("--config=" + str(REPOSITORY / "configs" / "grid" / "tiny.py"), "--workdir=w")
    only = """--config.grid.only=('grpo/*', 'sft/*/alpha_1')"""
    ended = started(*arguments, only, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    cells = json.loads((tmp_path / "w" / "grid.json").read_text())["cells"]
    assert [(cell["pair"], cell["alpha"]) for cell in cells] == [("grpo", 0.5), ("grpo", 1.0), ("sft", 1.0)]
    planned = started(*arguments, only, "--dry_run", cwd=tmp_path)
    assert "3 cells: answering" in planned.stdout


def raised(raiser) -> Exception:
    try:
        raiser()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_own_value_errors_and_missing_files_are_for_the_user(run, tmp_path):
    error = raised(lambda: open_workdir(REPOSITORY / "run.py").__enter__())
    assert run.message_for_user(error) == str(error)
    error = raised(lambda: (tmp_path / "nowhere").read_text())
    assert "nowhere" in run.message_for_user(error)


@pytest.mark.parametrize(
    "raiser",
    [
        lambda: jnp.reshape(jnp.zeros(4), (3,)),
        lambda: int("x"),
        lambda: {}["x"],
        lambda: [].x,
        lambda: 1 / 0,
    ],
)
def test_unexpected_errors_keep_their_traceback(run, raiser):
    assert run.message_for_user(raised(raiser)) is None


def test_interruption_says_how_to_go_on(run, capsys, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "parse_flags", interrupted)
    assert run.main(["run.py"]) == 130
    assert "goes on" in capsys.readouterr().err


def test_compare_takes_folders_before_and_after_flags(run, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(run, "compare_runs", lambda folders, target, console: calls.append((folders, target)))
    try:
        assert run.main(["run.py", "--compare", "one", "two", f"--workdir={tmp_path}"]) == 0
        assert run.main(["run.py", "one", "--compare", "two"]) == 0
        assert calls[0] == (["one", "two"], str(tmp_path)) and calls[1][0] == ["one", "two"]
    finally:
        run.flags.FLAGS.unparse_flags()
        run.flags.FLAGS["compare"].unparse()
