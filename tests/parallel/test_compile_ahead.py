"""Programs of published sizes, compiled for devices that nobody has here: their bytes against the plan's."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.absent_devices import can_compile_for
from benchmarks.shapes import SHAPES
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slow

SCORED = [
    # XLA on a CPU has no bfloat16 products: it holds float32 copies that an accelerator does not.
    ("cpu:8", "1,2,4", "qwen_7b", "float32", "block"),
    ("cpu:8", "1,2,4", "qwen_7b", "float32", "head"),
    ("cpu:8", "2,1,4", "qwen_7b", "float32", "block"),
    ("cpu:64", "1,8,8", "llama_70b", "float32", "block"),
    ("cpu:64", "1,8,8", "llama_70b", "float32", "head"),
    ("v5e:2x4", "1,2,4", "qwen_7b", "bfloat16", "block"),
    ("v5e:2x4", "1,2,4", "qwen_7b", "bfloat16", "head"),
    ("v5e:2x4", "2,1,4", "qwen_7b", "bfloat16", "block"),
    ("v5e:8x8", "1,8,8", "llama_70b", "bfloat16", "block"),
    ("v5e:8x8", "1,8,8", "llama_70b", "bfloat16", "head"),
    ("h100:1", "1,1,1", "qwen_7b", "bfloat16", "block"),
    ("h100:1", "1,1,1", "qwen_7b", "bfloat16", "head"),
    ("h100:8", "1,1,8", "llama_70b", "bfloat16", "block"),
    ("h100:8", "1,1,8", "llama_70b", "bfloat16", "head"),
]
ANSWERED = [
    (devices, mesh, program)
    for devices, mesh in (("v5e:2x4", "2,1,4"), ("h100:1", "1,1,1"))
    for program in ("prefill", "decode")
]


def compiled(**asked: Any) -> dict[str, Any]:
    if not can_compile_for(asked["devices"]):
        pytest.skip(f"compiling for {asked['devices']} takes requirements/ahead.txt: make test-ahead")
    command = [
        sys.executable,
        "-m",
        "benchmarks.compile_ahead",
        *(f"--{name}={value}" for name, value in asked.items()),
    ]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1200, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    print(run.stdout)
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["limit"] == "fits"
    return found


@pytest.mark.parametrize(("devices", "mesh", "shape", "dtype", "level"), SCORED)
def test_bytes_of_a_device_that_scores_are_as_planned(devices, mesh, shape, dtype, level):
    found = compiled(devices=devices, mesh=mesh, shape=shape, dtype=dtype, level=level)
    assert found["arguments"] == pytest.approx(found["planned_weights"], rel=0.01)
    assert found["working"] == pytest.approx(found["planned_working"], rel=0.15)
    config = SHAPES[shape]
    data, fsdp, tensor = map(int, mesh.split(","))
    rows = 8 // data
    width = {config.embed_dim, config.embed_dim // fsdp, config.embed_dim // (fsdp * tensor)}
    smallest = config.embed_dim * config.num_kv_heads * config.head_dim  # of a layer's matrices
    for kind, gathered, _ in found["sent"]:
        if kind == "all-gather" and not (len(gathered) == 3 and gathered[0] == rows and gathered[2] in width):
            # Not a residual stream of the batch: a chunk of heads, or less than any weight.
            assert math.prod(gathered) < smallest, gathered


@pytest.mark.parametrize(("devices", "mesh", "program"), ANSWERED)
def test_bytes_of_a_device_that_answers_are_as_planned(devices, mesh, program):
    """Weights and cache are given, and the cache is given back in its place: no copy of it is made on the way."""
    found = compiled(devices=devices, mesh=mesh, program=program, rows=32, length=320, answer=2048)
    assert found["arguments"] == pytest.approx(found["planned_weights"], rel=0.01)
    assert found["working"] < 1.15 * found["planned_working"]
