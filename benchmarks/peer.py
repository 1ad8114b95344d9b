"""Hands a row of the benchmark to the peer's environment: same weights, same tokens, scores compared before times."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxeap
from benchmarks.workloads import Shape


def measure_peer(python: str, shape: Shape, repeats: int) -> dict[str, Any]:
    """Seconds, peak memory and score error of TransformerLens doing the same at both levels."""
    weights, batch = shape.inputs()
    model = jaxeap.Decoder(shape.config(), weights)
    arrays = {
        "/".join(key.key for key in path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(model.weights)
    }
    for level in ("block", "head"):
        result = jaxeap.attribute(model, batch, level=level)  # type: ignore[arg-type]
        arrays[f"scores_{level}"] = np.asarray(result.scores).sum(axis=0)
    arrays |= {"loss": np.asarray(result.loss), **{n: getattr(batch, n) for n in ("tokens", "targets", "first")}}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "row.npz"
        np.savez(file, **arrays)
        script = Path(__file__).with_name("peer_transformer_lens.py")
        run = subprocess.run([python, str(script), str(file), str(repeats)], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"the peer's run failed:\n{run.stderr[-2000:]}")
    return {"shape": dataclasses.asdict(shape), **json.loads(run.stdout.splitlines()[-1])}
