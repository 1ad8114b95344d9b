"""Memory and time after scoring, with many questions: python -m benchmarks.many_questions [--questions=N,N].

Simulated scores at head level are written as the pipeline writes them, 64 questions a shard; then each part is run in
a process of its own: the statistics of every metric (what contrast and controls read scores for) and the figures.
`peak rise` is how far that process's resident set rises above its state before; beside it stands what the scores of
both models would take in memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from benchmarks.measure import _status_bytes
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.metrics import MetricOptions, layer_intensity
from jaxeap.metrics.controls.paired import statistics_of
from jaxeap.metrics.measures import measures
from jaxeap.metrics.stream import ScoreStream
from jaxeap.models.config import ModelConfig, RopeConfig
from jaxeap.pipeline.scoring.score_stream import stream_of
from jaxeap.pipeline.scoring.scores import Scores, append_shard
from jaxeap.report.figures import write_figures

FLAGS = flags.FLAGS
flags.DEFINE_list("questions", ["1000", "10000"], "numbers of questions")
flags.DEFINE_integer("layers", 6, "of the graph, each of 8 heads and 4 key/value heads")

ROLES, SHARD = ("base", "tuned"), 64
PARTS = ("statistics", "figures")


def graph_of(layers: int) -> EdgeGraph:
    """At head level."""
    config = ModelConfig(
        family="qwen2", vocab_size=64, embed_dim=64, num_layers=layers, num_heads=8, num_kv_heads=4, head_dim=8,
        mlp_dim=64, activation="silu", norm_epsilon=1e-6, rope=RopeConfig(theta=10_000.0), windows=(None,) * layers,
        qkv_bias=True, tied_embeddings=True,
    )  # fmt: skip
    return EdgeGraph.for_config(config, "head")


def simulate(folder: Path, graph: EdgeGraph, questions: int) -> None:
    """Heavy-tailed scores of both models, those of tuned a little stronger."""
    generator = np.random.default_rng(0)
    strength = (0.003 * generator.lognormal(size=graph.mask.shape) * graph.mask).astype(np.float32)
    for start in range(0, questions, SHARD):
        ids = tuple(f"q{place}" for place in range(start, min(start + SHARD, questions)))
        shape, ones = (len(ids), *graph.mask.shape), np.ones(len(ids), np.float32)
        base = strength * generator.standard_normal(shape, np.float32) ** 3
        tuned = 1.1 * base + 0.3 * strength * generator.standard_normal(shape, np.float32)
        for role, scores in zip(ROLES, (base, tuned.astype(np.float32)), strict=True):
            (folder / role).mkdir(parents=True, exist_ok=True)
            append_shard(folder / role, Scores(ids, scores, ones, ones))


def run(part: str, folder: Path, graph: EdgeGraph, streams: list[ScoreStream]) -> None:
    """One part, as the pipeline does it."""
    if part == "statistics":
        for stream in streams:
            statistics_of(stream, graph.mask, measures(MetricOptions(), histogram_upper=1e9))
        return
    names = graph.sources, graph.destinations
    layers = layer_intensity(*streams, graph.mask, graph.destinations, resamples=100)
    write_figures(folder / "figures", *streams, graph.mask, *names, layers)


def measure_here(part: str, folder: Path, questions: int, layers: int) -> dict[str, float]:
    graph = graph_of(layers)
    streams = [stream_of(folder / role, [f"q{place}" for place in range(questions)]) for role in ROLES]
    Path("/proc/self/clear_refs").write_text("5")
    resident, start, used = _status_bytes("VmRSS"), time.perf_counter(), time.process_time()
    run(part, folder, graph, streams)
    seconds = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
    return seconds | {"peak_rise": _status_bytes("VmHWM") - resident}


def main(_: list[str]) -> None:
    for questions in map(int, FLAGS.questions):
        graph = graph_of(FLAGS.layers)
        with tempfile.TemporaryDirectory() as folder:
            simulate(Path(folder), graph, questions)
            held = len(ROLES) * questions * graph.mask.size * 4
            print(f"{questions:,} questions, {graph.num_edges:,} edges, {held / 2**20:,.0f} MiB of scores", flush=True)
            for part in PARTS:
                task = json.dumps([part, folder, questions, FLAGS.layers])
                command = [sys.executable, "-m", "benchmarks.many_questions", f"--task={task}"]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                rise = found["peak_rise"] / 2**20
                took = f"{found['seconds']:.0f} s, {found['cpu_seconds']:.0f} s of cores"
                print(f"  {part}: {took}, peak rise {rise:,.0f} MiB", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1].startswith("--task="):
        part, folder, questions, layers = json.loads(sys.argv[1].removeprefix("--task="))
        print(json.dumps(measure_here(part, Path(folder), questions, layers)))
    else:
        app.run(main)
