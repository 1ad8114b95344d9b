"""The command line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from absl import app, flags
from absl.testing import flagsaver

from checkpoint_convert import __main__ as command
from jaxeap.models.load import load_model
from jaxeap.models.manifest import read_manifest
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    attributes = attributes_of("llama")
    return write_checkpoint(tmp_path_factory.mktemp("source"), attributes, tensors_of(attributes))


@pytest.fixture
def fresh_flags() -> Iterator[None]:
    with flagsaver.flagsaver():
        yield


def run(*arguments: str) -> None:
    command.main(flags.FLAGS(["checkpoint_convert", *arguments]))


def test_as_a_program_and_without_torch(source: Path, tmp_path: Path):
    """torch is a requirement of the tests alone; here importing it would fail."""
    (tmp_path / "torch.py").write_text("raise ImportError('not at run time')")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "checkpoint_convert"),
            *(f"--source={source}", f"--target={tmp_path / 'model'}", "--dtype=bfloat16"),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{source} -> {tmp_path / 'model'}\n"
    assert {entry.dtype for entry in read_manifest(tmp_path / "model").values()} == {"bfloat16"}
    assert load_model(tmp_path / "model").config == load_model(source).config


@pytest.mark.usefixtures("fresh_flags")
def test_errors_are_one_line_and_a_status(source: Path, tmp_path: Path):
    (tmp_path / "model").mkdir()
    with pytest.raises(SystemExit) as caught:
        run(f"--source={source}", f"--target={tmp_path / 'model'}")
    assert (
        caught.value.code
        == f"checkpoint_convert: target {tmp_path / 'model'} exists already; remove it, or name another one"
    )


@pytest.mark.usefixtures("fresh_flags")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target=there"], "Flag --source must have a value other than None"),
        (["--source=here", "--target=there", "--dtype=int8"], "value should be one of <float32|bfloat16|float16>"),
        (
            ["--source=here", "--target=there", "--dtpye=float32"],
            "Unknown command line flag 'dtpye'. Did you mean: dtype",
        ),
    ],
)
def test_wrong_flags(arguments: list[str], message: str):
    with pytest.raises(flags.Error) as caught:
        run(*arguments)
    assert message in str(caught.value)


@pytest.mark.usefixtures("fresh_flags")
def test_arguments_without_a_flag():
    with pytest.raises(app.UsageError, match="arguments without a flag: model"):
        run("--source=here", "--target=there", "model")


@pytest.mark.usefixtures("fresh_flags")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source=here"], "--target must have a value, except with --dry-run"),
        (["--source=here", "--target=there", "--to-hf", "--dtype=float32"], "give it --source and --target alone"),
    ],
)
def test_flags_that_do_not_go_together(arguments: list[str], message: str):
    with pytest.raises(app.UsageError, match=message):
        run(*arguments)


@pytest.mark.usefixtures("fresh_flags")
def test_dry_run_prints_the_plan_and_writes_nothing(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run(f"--source={source}", "--dry-run", "--dtype=bfloat16")
    header, *lines, total = capsys.readouterr().out.splitlines()
    assert header.split() == ["parameter", "shape", "dtype", "bytes", "tensors"]
    assert len(lines) == 12
    row = next(line for line in lines if line.startswith("layers/down"))
    assert row.split(maxsplit=4)[0] == "layers/down"
    assert "(3, 28, 20)" in row and "bfloat16" in row and "3,360" in row
    assert row.endswith("model.layers.{layer}.mlp.down_proj.weight (20, 28) F32 x 3")
    assert total.split() == ["12", "parameters", "20,520", "30", "tensors", "stored"]
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("fresh_flags")
def test_verify_and_back(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    target, back = tmp_path / "model", tmp_path / "back"
    run(f"--source={source}", f"--target={target}", "--verify")
    assert capsys.readouterr().out == f"{source} -> {target}, every tensor compared\n"
    run(f"--source={source}", f"--target={target}", "--verify")  # now it is there, and is looked at alone
    assert capsys.readouterr().out == f"{target} holds every tensor of {source}\n"
    run(f"--source={target}", f"--target={back}", "--to-hf", "--noverify")
    assert capsys.readouterr().out == f"{target} -> {back}\n"
    assert load_model(back).config == load_model(source).config
