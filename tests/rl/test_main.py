"""`python -m jaxeap.rl` from outside: what the user gets wrong is told in one line."""

import subprocess
import sys

import numpy as np
import pytest

from jaxeap.rl.__main__ import is_for_user
from jaxeap.rl.experiments.settings import check_lab_config, lab_config
from tests.conftest import REPOSITORY


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jaxeap.rl", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--config and --workdir must be given"),
        (
            ("--config=configs/lab/rl_methods.py", "--workdir=nowhere", "--config.seeds=0"),
            "config.seeds is 0; it must be at least 1",
        ),
    ],
)
def test_mistakes_are_told_without_a_traceback(arguments, told):
    ended = run(*arguments)
    assert ended.returncode == 1
    assert told in ended.stderr and "Traceback" not in ended.stderr


def test_bugs_keep_their_traceback():
    with pytest.raises(ValueError) as refused:
        check_lab_config(lab_config("rl_methods", ("grpo",), 0))
    with pytest.raises(ValueError) as bug:
        np.zeros(2) + np.zeros(3)
    assert is_for_user(refused.value) and is_for_user(FileNotFoundError("x"))
    assert not is_for_user(bug.value)
