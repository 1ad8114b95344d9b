"""What a process of test_hosts.py does: `python host_process.py TASK PROCESS PORT FOLDER`."""

import io
import json
import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path

import jax
import ml_collections
import numpy as np
import rich.console
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jaxeap
from jaxeap.parallel import hosts, launch
from jaxeap.parallel.mesh import make_mesh
from jaxeap.pipeline.execution import out_of_memory
from jaxeap.pipeline.stage import StageRun
from jaxeap.sampling.generate import generate

ARRAY = np.arange(8 * 6 * 3, dtype=np.float32).reshape(8, 6, 3)
SEQUENCES = [[3, 4, 5, 6, 7, 8], [5, 6, 7, 8], [9, 8, 7, 6, 5], [4, 4, 5]]
COUNTED = [(3, 6), (1, 4), (2, 5), (2, 3)]
MESHES = {"data": (2, 2, 2), "weights": (1, 2, 4)}


def decisions(folder: Path) -> None:
    """What is decided once, and how it fails; each line is a claim that the parent knows nothing of."""
    first = jax.process_index() == 0
    assert hosts.several() and hosts.is_first() == first
    assert hosts.on_first(lambda: {"process": jax.process_index()}) == {"process": 0}
    assert hosts.agree([1, "a"] if first else None) == [1, "a"]
    array = hosts.array_from_first(lambda: ARRAY if first else np.zeros(1))
    assert array.dtype == np.float32 and (array == ARRAY).all()
    step = hosts.from_first({"count": jax.numpy.int32(7 + jax.process_index()), "rows": np.arange(3)[::2]})
    assert step["count"].shape == () and int(step["count"]) == 7 and step["rows"].tolist() == [0, 2]
    try:
        hosts.on_first(lambda: (folder / "missing").read_text())
    except FileNotFoundError as error:
        assert first or str(error).startswith(f"host 0 ({os.uname().nodename}): ")
    else:
        raise AssertionError("no error")
    try:
        hosts.require_same("setting", {"alpha": 0.5, "seed": jax.process_index()})
    except hosts.HostError as error:
        name = os.uname().nodename
        assert str(error) == f"host 1 ({name}) has another setting than host 0 ({name}): seed is 1, not 0"
    else:
        raise AssertionError("no error")
    hosts.require_same("setting", {"alpha": 0.5})
    own = folder / "on_all"
    if first:
        time.sleep(0.3)
        own.write_text("shared")
    hosts.require_seen(lambda: [own])
    assert own.is_file()
    hosts.barrier("an end that all come to", 60)


def arrays() -> None:
    """Arrays cut in several ways come whole to every host, in one piece and in many."""
    mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("data", "tensor"))
    for spec in (("data",), (None,), (("data", "tensor"),), (None, None, None), ("tensor",), (None, "data")):
        cut = NamedSharding(mesh, PartitionSpec(*spec))
        for piece in (hosts.PIECE_BYTES, 50):
            hosts.PIECE_BYTES, before = piece, hosts.PIECE_BYTES
            on_devices = jax.make_array_from_callback(ARRAY.shape, cut, lambda index: ARRAY[index])
            whole = hosts.to_hosts({"here": on_devices, "there": (np.float32(1.0),)})
            hosts.PIECE_BYTES = before
            assert (whole["here"] == ARRAY).all() and whole["there"] == (1.0,)


def model(folder: Path, over: str) -> None:
    """Scores and answers of a model that is cut over both processes, written by the first."""
    shape = MESHES[over]
    decoder = jaxeap.load_model(folder / "model", mesh=make_mesh(*shape))
    result = jaxeap.attribute(decoder, jaxeap.Batch.from_sequences(SEQUENCES, COUNTED))
    if over == "data":
        assert {shard.data.shape[0] for shard in result.scores.addressable_shards} == {2}
    scores, loss = hosts.to_hosts((result.scores, result.loss))
    answers = generate(decoder, [s[:3] for s in SEQUENCES], max_new_tokens=4, stop_tokens=[2], batch_size=3)
    hosts.require_same("answer", {"all": answers})
    if hosts.is_first():
        found = {"scores": scores.tolist(), "loss": loss.tolist(), "answers": answers}
        (folder / "found.json").write_text(json.dumps(found))


def portions(folder: Path, failing: Collection[int], patience: int) -> None:
    """Scores in portions, on hosts of which some have no memory for more than two rows; all write what they did."""
    decoder = jaxeap.load_model(folder / "model", mesh=make_mesh(*MESHES["data"]))
    out_of_memory.AGREEING_SECONDS = patience
    done: list[int] = []
    scores: list[np.ndarray] = []

    def work(portion: out_of_memory.Portion) -> None:
        while (place := sum(done)) < len(SEQUENCES):
            if portion.rows > 2 and jax.process_index() in failing:
                jax.numpy.zeros((2**50,), jax.numpy.uint8).block_until_ready()  # More than any address space has.
            rows = slice(place, place + portion.rows)
            result = jaxeap.attribute(decoder, jaxeap.Batch.from_sequences(SEQUENCES[rows], COUNTED[rows]))
            scores.append(hosts.to_hosts(result.scores))
            done.append(len(scores[-1]))

    console = rich.console.Console(file=io.StringIO())
    run = StageRun(ml_collections.ConfigDict(), folder, {}, console)
    out_of_memory.in_portions(run, "scoring", out_of_memory.Portion(4), work, remedy="")
    found = {"done": done, "scores": np.concatenate(scores).tolist(), "said": console.file.getvalue()}
    (folder / f"portions{jax.process_index()}.json").write_text(json.dumps(found))


def main(task: str, process: int, port: int, folder: Path) -> None:
    with launch.joined(launch.Launch(f"127.0.0.1:{port}", 2, process, arrival=120, silence=3)):
        if task in MESHES:
            decisions(folder)
            arrays()
            model(folder, task)
            portions(folder, failing=(0, 1), patience=60)
        elif task == "memory of one":
            portions(folder, failing=(1,), patience=2)
        elif task == "killed" and process == int(folder.name):
            time.sleep(2)
            os.kill(os.getpid(), signal.SIGKILL)
        elif task == "fails" and process == 1:
            raise ValueError("what the second alone finds wrong")
        elif task == "late" and process == 0:
            hosts.barrier("the meeting", 2)
        elif task in ("killed", "fails", "late"):
            hosts.on_first(lambda: time.sleep(120)) if process == 0 else time.sleep(120)


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    except (hosts.HostError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(1)
