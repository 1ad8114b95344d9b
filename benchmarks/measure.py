"""Measuring: interleaved wall times in one process, memory of each workload in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp

from benchmarks.workloads import NAMES, Shape, workloads


def times(shape: Shape, repeats: int, names: tuple[str, ...] = NAMES) -> dict[str, list[float]]:
    """Seconds of `repeats` runs of each workload, taken in turn so that a busy moment hits all alike."""
    weights, batch = shape.inputs()
    batch = jax.tree.map(jnp.asarray, batch)
    functions = workloads(shape)
    compiled = {name: jax.jit(functions[name]).lower(weights, batch).compile() for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for run in range(repeats + 1):
        for name in names:
            start = time.perf_counter()
            jax.block_until_ready(compiled[name](weights, batch))
            if run:  # the first is warm-up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios_to(base: list[float], other: list[float]) -> float:
    """Median over rounds of the ratio within a round."""
    return statistics.median(b / a for a, b in zip(base, other, strict=True))


def memory(shape: Shape, name: str) -> dict[str, int]:
    """Bytes: XLA's temporary buffers, and how far the process's peak rose above its state with weights and program."""
    command = [sys.executable, "-m", "benchmarks.measure", json.dumps({**dataclasses.asdict(shape), "name": name})]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def _measure_memory_here(shape: Shape, name: str) -> dict[str, int]:
    weights, batch = shape.inputs()
    weights, batch = jax.block_until_ready((weights, jax.tree.map(jnp.asarray, batch)))
    compiled = jax.jit(workloads(shape)[name]).lower(weights, batch).compile()
    Path("/proc/self/clear_refs").write_text("5")  # Forget the peak of compiling.
    resident = _status_bytes("VmRSS")
    jax.block_until_ready(compiled(weights, batch))
    analysis = compiled.memory_analysis()
    return {
        "temporary": int(analysis.temp_size_in_bytes),
        "peak_rise": _status_bytes("VmHWM") - resident,
        "resident_before": resident,
    }


def _status_bytes(name: str) -> int:
    """A line of /proc/self/status that counts kB: VmRSS, what is resident now; VmHWM, the most that was."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    workload = arguments.pop("name")
    print(json.dumps(_measure_memory_here(Shape(**arguments), workload)))
