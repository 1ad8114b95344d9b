"""Runs in folders: every method, killed and resumed to the same bits, and what is refused."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxeap.models.load import load_model
from jaxeap.models.save import save_model
from jaxeap.rl import runs
from jaxeap.rl.dpo import DPOSettings
from jaxeap.rl.grpo import GRPOSettings
from jaxeap.rl.methods import METHODS
from jaxeap.rl.metrics_log import read_metrics
from jaxeap.rl.ppo import PPOSettings
from jaxeap.rl.rejection_sampling import RejectionSettings
from jaxeap.rl.runs import default_settings, step_folder, train_model
from jaxeap.rl.sft import SFTSettings
from jaxeap.rl.training import OptimizerSettings
from jaxeap.rl.training_task import TrainingTask
from jaxeap.tasks.questions import Question
from jaxeap.tasks.tokenizer import arithmetic_tokenizer
from tests.conftest import REPOSITORY
from tests.tiny_decoder import tiny_decoder

pytestmark = pytest.mark.standard_promotion

QUIET = dict(say=lambda line: None)

IN_EVERY_RUN = ("dpo",)
"""Methods whose killed runs are resumed in the tests of every change: most state on policy, and off it."""
SMALL = {
    "sft": SFTSettings(steps=6, batch_size=4),
    "rejection": RejectionSettings(6, 2, prompts_per_step=16, answers_each=8, batch_size=8, max_new_tokens=2),
    "grpo": GRPOSettings(steps=6, prompts_per_step=4, group_size=8, max_new_tokens=2),
    "ppo": PPOSettings(steps=6, prompts_per_step=16, max_new_tokens=2),
    "dpo": DPOSettings(steps=6, prompts_per_draw=16, batch_size=8, max_new_tokens=2),
    "online_dpo": DPOSettings(6, 2, online=True, prompts_per_draw=16, batch_size=8, max_new_tokens=2),
}


def copying_task() -> TrainingTask:
    """The answer is the digit that the question consists of."""
    questions = [
        Question(str(digit) * length, str(digit) * length, str(digit)) for digit in range(10) for length in (1, 2)
    ]
    return TrainingTask(
        name="copying",
        description="The answer is the digit that the question consists of.",
        questions=questions,
        demonstrations=[(question.question, question.answer) for question in questions],
        test=questions[:5],
        max_new_tokens=2,
        data={"digits": 10},
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder that has half learned the task, so that every method finds right and wrong answers."""
    folder = tmp_path_factory.mktemp("runs")
    save_model(tiny_decoder(), folder / "initial", arithmetic_tokenizer())
    settings = SFTSettings(30, 10, optimizer=OptimizerSettings(learning_rate=1e-2, warmup_steps=3))
    train_model("sft", folder / "initial", folder / "base", copying_task(), 0, settings, **QUIET)
    return folder / "base"


def leaves(folder: Path) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(load_model(folder).weights)]


class Killed(Exception):
    """Stands for the end of a process."""


def killed_at(step: int):
    """`metrics_log` that dies before it has written the metrics of a step."""
    original = runs.metrics_log

    def opened(folder: Path, done: int):
        manager = original(folder, done)

        class Dying:
            def __enter__(self):
                log = manager.__enter__()

                def write(number: int, metrics: dict) -> None:
                    if number == step:
                        raise Killed
                    log(number, metrics)

                return write

            def __exit__(self, *error):
                return manager.__exit__(*error)

        return Dying()

    return opened


@pytest.mark.parametrize(
    "method", [name if name in IN_EVERY_RUN else pytest.param(name, marks=pytest.mark.slow) for name in SMALL]
)
def test_a_killed_run_resumes_to_the_same_bits(
    method: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dict(settings=SMALL[method], checkpoint_every=2, keep_steps=(3, 6), **QUIET)
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    measured = train_model(method, base, whole, copying_task(), 7, **options)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "metrics_log", killed_at(6))
        with pytest.raises(Killed):
            train_model(method, base, parted, copying_task(), 7, **options)
    assert not (parted / "training.json").exists()
    assert train_model(method, base, parted, copying_task(), 7, **options) == measured

    for one, two in ((whole, parted), *((step_folder(x, 3), step_folder(y, 3)) for x, y in [(whole, parted)])):
        jax.tree.map(np.testing.assert_array_equal, leaves(one), leaves(two))
    assert any((a != b).any() for a, b in zip(leaves(whole), leaves(base), strict=True))
    jax.tree.map(np.testing.assert_array_equal, leaves(whole), leaves(step_folder(whole, 6)))
    metrics = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in read_metrics(folder / "run")]
        for folder in (whole, parted)
    ]
    assert metrics[0] == metrics[1] and [line["step"] for line in metrics[0]] == [1, 2, 3, 4, 5, 6]
    assert not (parted / "run" / "checkpoints").exists()


def test_a_run_killed_by_the_system_resumes_to_the_same_bits(base: Path, tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
import tests.rl.test_runs as here
from jaxeap.rl.runs import train_model
def say(line):
    if line.startswith("grpo parted 4/6"):
        os.kill(os.getpid(), signal.SIGKILL)
train_model("grpo", Path(sys.argv[1]), Path(sys.argv[2]), here.copying_task(), 7, here.SMALL["grpo"], say=say,
            checkpoint_every=3)
"""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", program, str(base), str(tmp_path / "parted")]
    ended = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    said: list[str] = []
    arguments = (copying_task(), 7, SMALL["grpo"])
    train_model("grpo", base, tmp_path / "parted", *arguments, checkpoint_every=3, say=said.append)
    assert said[0] == "grpo parted: goes on after step 3 of 6"
    train_model("grpo", base, tmp_path / "whole", *arguments, **QUIET)
    jax.tree.map(np.testing.assert_array_equal, *(leaves(tmp_path / name) for name in ("parted", "whole")))


def test_a_finished_run_is_not_made_again_and_tells_what_it_is(base: Path, tmp_path: Path) -> None:
    target, said = tmp_path / "model", []
    options = dict(command="make it", say=said.append)
    measured = train_model("sft", base, target, copying_task(), 7, SMALL["sft"], **options)
    before = (target / "model.safetensors").stat().st_mtime_ns
    said.clear()
    assert train_model("sft", base, target, copying_task(), 7, SMALL["sft"], **options) == measured
    assert (target / "model.safetensors").stat().st_mtime_ns == before and said == ["sft model: is finished"]
    record = json.loads((target / "training.json").read_text())
    assert record["name"] == "copying/model" and record["command"] == "make it"
    assert record["recipe"]["data"] == {"digits": 10} and record["recipe"]["sft"]["batch_size"] == 4
    assert record["seconds"]["sft"] == pytest.approx(sum(line["seconds"] for line in read_metrics(target / "run")))


def test_another_run_in_the_same_folder_is_refused(base: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    train_model("sft", base, target, copying_task(), 7, SMALL["sft"], **QUIET)
    other = dataclasses.replace(copying_task(), max_new_tokens=3)
    for changed, name in (
        (("sft", base, target, copying_task(), 8, SMALL["sft"]), "seed: 7 there, 8 now"),
        (("grpo", base, target, copying_task(), 7, SMALL["grpo"]), "method: sft there, grpo now"),
        (("sft", base, target, other, 7, SMALL["sft"]), "task: "),
        (("sft", target, target, copying_task(), 7, SMALL["sft"]), "base: "),
    ):
        with pytest.raises(ValueError, match=f"holds another run.*{name}"):
            train_model(*changed, **QUIET)
    with pytest.raises(ValueError, match="not made there"):
        (target / "run" / "run.json").unlink()
        train_model("sft", base, target, copying_task(), 7, SMALL["sft"], **QUIET)


def test_impossible_requests_are_refused(base: Path, tmp_path: Path) -> None:
    arguments = (base, tmp_path / "model", copying_task(), 7)
    with pytest.raises(ValueError, match="there is no method 'gpro'; there are: sft"):
        train_model("gpro", *arguments)
    with pytest.raises(ValueError, match="'ppo' takes PPOSettings, found GRPOSettings"):
        train_model("ppo", *arguments, SMALL["grpo"])
    with pytest.raises(ValueError, match=r"the 6 steps of the run; found \[0, 7\]"):
        train_model("grpo", *arguments, SMALL["grpo"], keep_steps=(0, 6, 7))
    assert not (tmp_path / "model").exists()


def test_default_settings_are_the_methods_own_with_the_tasks_length() -> None:
    for method in METHODS:
        settings = default_settings(method, copying_task())
        assert getattr(settings, "max_new_tokens", 2) == 2
        assert settings.steps == METHODS[method].settings.steps
