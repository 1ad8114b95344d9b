"""Cost of attribution in multiples of its floor: python -m benchmarks.attribution [--json=FILE] [--peer_python=EXE].

The floor is a forward pass and a backward pass by activations alone, of the same batch in the same run. On a random
Qwen2-shaped model (8 layers, width 512, 8 heads, 2 kv heads, feed-forward width 1408, vocabulary 4096), float32.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
from datetime import date
from pathlib import Path
from typing import Any

import jax
import rich
from absl import app, flags
from rich.table import Table

from benchmarks.measure import memory, ratios_to, times
from benchmarks.peer import measure_peer
from benchmarks.workloads import NAMES, Shape

FLAGS = flags.FLAGS
flags.DEFINE_integer("repeats", 9, "timed runs of each workload")
flags.DEFINE_string("json", None, "where to write the figures")
flags.DEFINE_list("shapes", ["1x128", "1x256", "8x128", "8x256"], "batch x length of each row")
flags.DEFINE_bool("scaling", True, "also double layers, length and heads one at a time")
flags.DEFINE_string("peer_python", None, "a Python that has transformer-lens; measures the peers' way beside ours")

SCALING = (Shape(1, 128), Shape(1, 128, layers=16), Shape(1, 256), Shape(1, 128, heads=16))


def measure_row(shape: Shape, repeats: int) -> dict[str, Any]:
    """Times, ratios and memory of every workload at one shape."""
    seconds = times(shape, repeats)
    return {
        "shape": dataclasses.asdict(shape),
        **{
            name: {
                "median_s": statistics.median(seconds[name]),
                "ratio": ratios_to(seconds["floor"], seconds[name]),
                **memory(shape, name),
            }
            for name in NAMES
        },
    }


def table_of(title: str, rows: list[dict[str, Any]]) -> Table:
    """A line for each shape and workload; ratios are to the floor of the same row."""
    table = Table(title=title)
    for heading in ("B x T", "L, H", "workload", "median s", "x floor", "temp MiB", "x floor", "peak rise MiB"):
        table.add_column(heading, justify="right")
    for row in rows:
        shape = row["shape"]
        for name in NAMES:
            figures = row[name]
            table.add_row(
                f"{shape['batch']} x {shape['length']}",
                f"{shape['layers']}, {shape['heads']}",
                name,
                f"{figures['median_s']:.3f}",
                f"{figures['ratio']:.2f}",
                f"{figures['temporary'] / 2**20:.0f}",
                f"{figures['temporary'] / row['floor']['temporary']:.2f}",
                f"{figures['peak_rise'] / 2**20:.0f}",
            )
        table.add_section()
    return table


def peer_table(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Table:
    """TransformerLens beside jaxeap, row by row of the same run."""
    table = Table(title="the same scores with TransformerLens hooks (PyTorch), same weights and tokens")
    for heading in ("B x T", "level", "jaxeap s", "TransformerLens s", "x jaxeap", "peak MiB", "score error"):
        table.add_column(heading, justify="right")
    for our, their in zip(ours, theirs, strict=True):
        for level in ("block", "head"):
            seconds, peer = our[level]["median_s"], their[level]
            table.add_row(
                f"{our['shape']['batch']} x {our['shape']['length']}",
                level,
                f"{seconds:.3f}",
                f"{peer['median_s']:.3f}",
                f"{peer['median_s'] / seconds:.1f}",
                f"{peer['peak_rss'] / 2**20:.0f}",
                f"{peer['score_error']:.0e}",
            )
    return table


def main(argv: list[str]) -> None:
    """Measures, prints, writes."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS", "cpu"))
    figures: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, jax {jax.__version__}, {jax.default_backend()}",
        "main": [],
    }
    shapes = [Shape(*map(int, shape.split("x"))) for shape in FLAGS.shapes]
    for shape in shapes:  # Shown row by row: a long benchmark that is stopped has still said something.
        figures["main"].append(measure_row(shape, FLAGS.repeats))
        rich.print(table_of(f"{figures['machine']}, {figures['date']}", figures["main"][-1:]))
    if FLAGS.scaling:
        figures["scaling"] = [measure_row(shape, FLAGS.repeats) for shape in SCALING]
        rich.print(table_of("doubling layers, length and heads one at a time", figures["scaling"]))
    if FLAGS.peer_python:
        figures["peer"] = [measure_peer(FLAGS.peer_python, shape, min(3, FLAGS.repeats)) for shape in shapes]
        rich.print(peer_table(figures["main"], figures["peer"]))
    if FLAGS.json:
        temporary = Path(FLAGS.json + ".tmp")
        temporary.write_text(json.dumps(figures, indent=1) + "\n")
        temporary.replace(FLAGS.json)


if __name__ == "__main__":
    app.run(main)
