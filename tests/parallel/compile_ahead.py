"""Compiles a scoring step for a mesh of devices that are not there; nothing is allocated.

    python -m tests.parallel.compile_ahead QWEN_7B 1 2 4 block

A program of its own, since JAX is told of its devices when it starts. Prints one JSON object of bytes on a device.
"""

from __future__ import annotations

import argparse
import json
import math
import os

PARSER = argparse.ArgumentParser(
    prog="python -m tests.parallel.compile_ahead", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
)
PARSER.add_argument("shape", choices=("SHAPE", "QWEN_7B", "LLAMA_70B"), help="one of tests/pipeline/planning/shape.py")
for axis in ("data", "fsdp", "tensor"):
    PARSER.add_argument(axis, type=int, help="devices along this axis of the mesh")
PARSER.add_argument("level", choices=("block", "head"))
ASKED = PARSER.parse_args()
NAME, SIZES, LEVEL = ASKED.shape, (ASKED.data, ASKED.fsdp, ASKED.tensor), ASKED.level
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={math.prod(SIZES)}"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from jaxeap.attribution.attribute import METHODS  # noqa: E402
from jaxeap.attribution.contraction import automatic_chunk  # noqa: E402
from jaxeap.attribution.graph import EdgeGraph  # noqa: E402
from jaxeap.attribution.settings import Settings  # noqa: E402
from jaxeap.models.model import weight_shardings  # noqa: E402
from jaxeap.models.parameters import abstract_weights  # noqa: E402
from jaxeap.parallel.automatic import MeshSizes, weight_bytes  # noqa: E402
from jaxeap.parallel.mesh import entered, make_mesh  # noqa: E402
from jaxeap.pipeline.planning.memory import abstract_batch  # noqa: E402
from jaxeap.pipeline.planning.on_mesh import scoring_memory_on  # noqa: E402
from tests.parallel.collectives import collectives  # noqa: E402
from tests.pipeline.planning import shape  # noqa: E402

DTYPE = "float32"
"""XLA on a CPU has no bfloat16 products: it holds float32 copies that an accelerator does not."""
ROWS, LENGTH, WIDTH = 8, 512, 256

if __name__ == "__main__":
    config, (data, fsdp, tensor) = getattr(shape, NAME), SIZES
    mesh, graph = make_mesh(*SIZES), EdgeGraph.for_config(config, LEVEL)
    weights = jax.tree.map(
        lambda array, where: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=where),
        abstract_weights(config, jnp.dtype(DTYPE)),
        weight_shardings(config, mesh),
    )
    settings = Settings(LEVEL, "zero", automatic_chunk(graph, config, LENGTH, slices=fsdp * tensor))
    function, options = METHODS["eap"]
    with entered(mesh):
        lowered = function.lower(weights, config, abstract_batch(ROWS, LENGTH, WIDTH), None, settings, options())
        compiled = lowered.compile()
    said = compiled.memory_analysis()
    planned = scoring_memory_on(MeshSizes(*SIZES, ""), config, DTYPE, "eap", LEVEL, "zero", ROWS // data, LENGTH, WIDTH)
    gathers = [one for one in collectives(compiled.as_text()) if one.kind == "all-gather"]
    result = {
        "arguments": said.argument_size_in_bytes,
        "working": said.temp_size_in_bytes + said.output_size_in_bytes,
        "planned_weights": weight_bytes(config, DTYPE, fsdp, tensor),
        "planned_working": planned.total,
        "largest_gather": max((one.size for one in gathers), default=0),
        "gathered": sorted({one.shape for one in gathers}),
    }
    print(json.dumps(result))
