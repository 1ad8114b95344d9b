"""Scaling of scoring over devices: python -m benchmarks.scaling [--rounds=5] [--level=block] [--json=FILE].

Each number of CPU devices has a process of its own (XLA takes their number when it starts), which scores when it is
told to: all of them in turn, round by round, so that ratios are of one run. The devices share the cores that there are.
Then n devices can be no faster than one, which already uses all cores, and what is measured is what sharing out costs:

    strong   the same batch on n devices, cut over data, fsdp or tensor: time over that of one device; 1 is ideal
    weak     n times the batch on n devices, cut over data: time over n times that of one device; 1 is ideal

    python -m benchmarks.scaling --accelerator [--rounds=9] [--json=FILE]

measures on the first GPU or TPU how fast a random Qwen2-7B (bfloat16, 8 x 512 tokens, 64 of each counted) is scored at
block and head level, beside a forward pass and a forward and backward pass: tokens and operations a second, and the
share of the device's peak.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import rich
from rich.table import Table

from benchmarks.measure import ratios_to, times
from benchmarks.shapes import QWEN_7B
from benchmarks.workloads import Shape, workloads
from jaxeap.attribution.attribute import attribute
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import Level
from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import Weights, abstract_weights, random_weights
from jaxeap.parallel.mesh import make_mesh
from jaxeap.pipeline.execution.peak_rates import peak_flops
from jaxeap.pipeline.planning.program import flops, traced

AXES = ("data", "fsdp", "tensor")
SMALL = Shape(8, 128, layers=4)
"""What is scored on CPU devices; in weak scaling each device has `WEAK_ROWS` of the rows."""
WEAK_ROWS = 2
MEASURED = ("forward", "floor", "block", "head")


class Task(NamedTuple):
    """One measurement: so many rows, with the mesh cut along one axis."""

    rows: int
    axis: str


@dataclasses.dataclass(frozen=True)
class LargeShape(Shape):
    """Qwen2-7B, as published, in bfloat16; a batch of which 64 tokens of each row are counted."""

    batch: int = 8
    length: int = 512
    layers: int = QWEN_7B.num_layers
    heads: int = QWEN_7B.num_heads
    kv_heads: int = QWEN_7B.num_kv_heads
    head_dim: int = QWEN_7B.head_dim
    mlp_dim: int = QWEN_7B.mlp_dim
    vocabulary: int = QWEN_7B.vocab_size
    counted: int = 64

    def config(self) -> ModelConfig:
        """The shape of Qwen2-7B unless fields say otherwise."""
        return dataclasses.replace(
            super().config(),
            vocab_size=self.vocabulary,
            embed_dim=self.heads * self.head_dim,
            num_kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            mlp_dim=self.mlp_dim,
            tied_embeddings=False,
        )

    def inputs(self, seed: int = 0) -> tuple[Weights, Batch]:
        """Random weights in bfloat16, and random tokens of which the last are counted."""
        rng = np.random.default_rng(seed)
        sequences = rng.integers(0, self.vocabulary, (self.batch, self.length + 1)).tolist()
        counted = [(self.length + 1 - self.counted, self.length + 1)] * self.batch
        weights = jax.jit(random_weights, static_argnums=(0, 2))(self.config(), jax.random.key(seed), jnp.bfloat16)
        return weights, Batch.from_sequences(sequences, counted)


def tasks_of(devices: int, rows: int = SMALL.batch) -> list[Task]:
    """What one number of devices measures: strong scaling along each axis, and weak scaling along data."""
    strong = [Task(rows, axis) for axis in (AXES if devices > 1 else AXES[:1])]
    return list(dict.fromkeys([*strong, Task(WEAK_ROWS * devices, "data")]))


def work(devices: int, level: Level, shape: Shape) -> None:
    """A process of one number of devices: compiles, says so with the bytes that it takes, and scores when told to."""
    model_of = {axis: Decoder.random(shape.config(), mesh=make_mesh(**{axis: devices})) for axis in AXES}
    batches = {task: dataclasses.replace(shape, batch=task.rows).inputs()[1] for task in tasks_of(devices, shape.batch)}

    def score(task: Task) -> None:
        jax.block_until_ready(attribute(model_of[task.axis], batches[task], level=level).scores)

    for task in batches:
        score(task)
    print("ready", flush=True)
    for line in sys.stdin:
        task = Task(**json.loads(line))
        begun = time.perf_counter()
        score(task)
        print(time.perf_counter() - begun, flush=True)


class Worker:
    """The process of one number of devices."""

    def __init__(self, devices: int, level: Level, shape: Shape):
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        }
        asked = json.dumps({"devices": devices, "level": level, "shape": dataclasses.asdict(shape)})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.scaling", "--worker", asked],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def line(self) -> str:
        """The next thing that it says."""
        assert self._process.stdout is not None
        if not (said := self._process.stdout.readline()):
            raise RuntimeError(f"a process of the benchmark ended with status {self._process.wait()}")
        return said

    def seconds(self, task: Task) -> float:
        """Has it score once."""
        assert self._process.stdin is not None
        print(json.dumps(task._asdict()), file=self._process.stdin, flush=True)
        return float(self.line())

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def scaling(counts: tuple[int, ...], rounds: int, level: Level, shape: Shape) -> Iterator[dict[str, Any]]:
    """A row for each number of devices and kind of scaling: median seconds, and the ratio to one device within rounds.

    Args:
      counts: of devices; 1 is among them.
      rounds: in each of which everything is measured once.
      level: of the scores.
      shape: of model and batch.
    """
    workers = {}
    try:
        for count in counts:  # One after another: compiling side by side would take longer.
            workers[count] = Worker(count, level, shape)
            workers[count].line()
        found: dict[tuple[int, Task], list[float]] = {}
        for _ in range(rounds):
            for count, worker in workers.items():
                for task in tasks_of(count, shape.batch):
                    found.setdefault((count, task), []).append(worker.seconds(task))
    finally:
        for worker in workers.values():
            worker.close()
    for (count, task), seconds in found.items():
        strong, weak = found[1, Task(shape.batch, "data")], found[1, Task(WEAK_ROWS, "data")]
        row = {"devices": count, "axis": task.axis, "rows": task.rows, "median_s": statistics.median(seconds)}
        if task.rows == shape.batch:
            yield row | {"kind": "strong", "ratio": ratios_to(strong, seconds)}
        if task.rows == WEAK_ROWS * count and task.axis == "data":
            yield row | {"kind": "weak", "ratio": ratios_to(weak, seconds) / count}


def scaling_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """A line for each row of `scaling`."""
    table = Table(title=title)
    for heading in ("kind", "cut over", "devices", "rows", "median s", "x one device for the same work"):
        table.add_column(heading, justify="left" if heading in ("kind", "cut over") else "right")
    for row in sorted(rows, key=lambda row: (row["kind"], row["axis"], row["devices"])):
        cells = (row["kind"], row["axis"], row["devices"], row["rows"], f"{row['median_s']:.3f}", f"{row['ratio']:.2f}")
        table.add_row(*map(str, cells))
    return table


def accelerator(shape: LargeShape, rounds: int) -> list[dict[str, Any]]:
    """A row for each workload on the first device: seconds, tokens and operations a second, share of its peak."""
    seconds = times(shape, rounds, MEASURED)
    peak = peak_flops(jax.local_devices()[0].device_kind)
    weights = abstract_weights(shape.config(), jnp.bfloat16)
    batch = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), shape_of_batch(shape))
    rows = []
    for name in MEASURED:
        median = statistics.median(seconds[name])
        speed = flops(traced(workloads(shape)[name], weights, batch)) / median
        rows.append(
            {
                "workload": name,
                "median_s": median,
                "ratio": ratios_to(seconds["floor"], seconds[name]),
                "tokens_per_s": shape.batch * shape.length / median,
                "flops_per_s": speed,
                "share_of_peak": None if peak is None else speed / peak,
            }
        )
    return rows


def shape_of_batch(shape: LargeShape) -> Batch:
    """A batch of zeros, of the sizes of `shape.inputs()`."""
    tokens, targets = (np.zeros((shape.batch, size), np.int32) for size in (shape.length, shape.counted))
    return Batch(tokens, tokens == 0, targets, targets == 0, np.ones(shape.batch, np.int32))


def accelerator_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """A line for each workload; ratios are to the forward and backward pass."""
    table = Table(title=title)
    for heading in ("workload", "median s", "x floor", "tokens/s", "TFLOP/s", "share of bfloat16 peak"):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    for row in rows:
        share = "unknown" if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}"
        table.add_row(
            row["workload"],
            f"{row['median_s']:.3f}",
            f"{row['ratio']:.2f}",
            f"{row['tokens_per_s']:,.0f}",
            f"{row['flops_per_s'] / 1e12:.3g}",
            share,
        )
    return table


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description="Scaling of scoring over devices.")
    parser.add_argument("--rounds", type=int, default=5, help="in each of which everything is measured once")
    parser.add_argument("--devices", default="1,2,4,8", help="numbers of CPU devices, 1 among them")
    parser.add_argument("--level", default="block", choices=("block", "head"), help="of the scores on CPU devices")
    parser.add_argument("--accelerator", action="store_true", help="a 7B model on the first GPU or TPU instead")
    parser.add_argument("--json", help="where to write the figures")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        asked = json.loads(arguments.worker)
        work(asked["devices"], asked["level"], Shape(**asked["shape"]))
        return
    if not arguments.accelerator:
        jax.config.update("jax_platforms", "cpu")
    elif jax.default_backend() == "cpu":
        parser.error("--accelerator needs a GPU or TPU, and JAX finds only the CPU")
    device = jax.local_devices()[0].device_kind
    machine = (
        f"{date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, {device}, jax {jax.__version__}"
    )
    if arguments.accelerator:
        rows = accelerator(LargeShape(), arguments.rounds)
        rich.print(accelerator_table(f"Qwen2-7B, bfloat16, 8 x 512; {machine}", rows))
    else:
        counts = tuple(map(int, arguments.devices.split(",")))
        rows = list(scaling(counts, arguments.rounds, arguments.level, SMALL))
        rich.print(scaling_table(f"{arguments.level} level; {machine}", rows))
    if arguments.json:
        temporary = Path(arguments.json + ".tmp")
        temporary.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
        temporary.replace(arguments.json)


if __name__ == "__main__":
    main()
