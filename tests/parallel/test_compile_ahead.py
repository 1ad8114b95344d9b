"""Scoring steps of published sizes, compiled for meshes that nobody has here: their bytes against the plan's."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.pipeline.planning import shape

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "sizes", "level"),
    [
        ("QWEN_7B", (1, 2, 4), "block"),
        ("QWEN_7B", (1, 2, 4), "head"),
        ("QWEN_7B", (2, 1, 4), "block"),
        ("LLAMA_70B", (1, 8, 8), "block"),
        ("LLAMA_70B", (1, 8, 8), "head"),
    ],
)
def test_bytes_of_a_device_are_as_planned(name, sizes, level):
    command = [sys.executable, "-m", "tests.parallel.compile_ahead", name, *map(str, sizes), level]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1200, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["arguments"] == pytest.approx(found["planned_weights"], rel=0.01)
    assert found["working"] == pytest.approx(found["planned_working"], rel=0.15)
    config = getattr(shape, name)
    smallest = config.embed_dim * config.num_kv_heads * config.head_dim  # of a layer's matrices
    activations = {(8 // sizes[0], length, config.embed_dim // sizes[1]) for length in (512, 256)}
    for gathered in map(tuple, found["gathered"]):
        assert gathered in activations or len(gathered) == 4, gathered  # or a chunk of heads, [L, C, H, K]
        assert gathered in activations or gathered[0] * gathered[1] * gathered[2] * gathered[3] < smallest
