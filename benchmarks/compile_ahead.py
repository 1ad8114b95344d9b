"""Compiles programs for devices that are not here, and holds the plan's bytes against the compiler's.

    python -m benchmarks.compile_ahead --devices=v5e:2x4 --mesh=1,2,4 --shape=qwen_7b --level=head
    python -m benchmarks.compile_ahead --devices=h100:1 --program=decode --rows=32 --length=320 --answer=4096

Devices are "cpu:8", "h100:8" or a TPU slice ("v5e:2x4", "v5p:2x2x1", ...; see `benchmarks.absent_devices`); nothing is
allocated and no weight is needed. A program of its own for each, since JAX is told of its devices when it starts. The
last line of its output is a JSON object:

    arguments, planned_weights   bytes of a device that hold weights (of an answering program, and the cache)
    working, planned_working     bytes of a device beside those, at the worst moment
    limit                        "fits", or what the compiler says of a memory that does not do (TPUs alone say so)
    sent                         what devices send each other: kind, shape on a device, as often as it stands there
    seconds                      that compiling took
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections import Counter
from typing import Any, NamedTuple

import jax

from benchmarks.absent_devices import absent_mesh, as_if_on, prepare
from benchmarks.collectives import collectives
from benchmarks.shapes import SHAPES
from jaxeap.attribution.attribute import METHODS
from jaxeap.models.config import ModelConfig
from jaxeap.models.model import weight_shardings
from jaxeap.parallel.automatic import MeshSizes, weight_bytes
from jaxeap.parallel.mesh import entered
from jaxeap.parallel.sharding import axes_of, sharding_of
from jaxeap.pipeline.execution.out_of_memory import ran_out_of_memory
from jaxeap.pipeline.planning.answering import DONATED, Program, decode_program, prefill_program
from jaxeap.pipeline.planning.memory import Scoring
from jaxeap.pipeline.planning.on_mesh import part_of_shape, scoring_memory_on
from jaxeap.pipeline.planning.program import peak_bytes, tree_bytes
from jaxeap.sampling.batching import padded_length
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.paged_cache import cache_groups, cache_layout

PROGRAMS = ("scoring", "prefill", "decode")


class Ahead(NamedTuple):
    """A program to compile, and what the plan says of it.

    Attributes:
      lowered: for the mesh.
      weights: planned bytes of a device for what is given: weights, and the cache where there is one.
      working: planned bytes of a device beside it.
    """

    lowered: Any
    weights: int
    working: int


def scoring_ahead(scoring: Scoring, mesh: jax.sharding.Mesh) -> Ahead:
    """One batch that is scored; `scoring` has the rows of the whole batch."""
    sizes = MeshSizes(*mesh.devices.shape, "")
    weights = _laid_out(scoring.weights, weight_shardings(scoring.config, mesh))
    with entered(mesh):
        function = METHODS[scoring.method].function
        lowered = scoring.called(function.lower, weights, scoring.batch, slices=sizes.fsdp * sizes.tensor)
    planned = scoring_memory_on(sizes, dataclasses.replace(scoring, rows=-(-scoring.rows // sizes.data)))
    return Ahead(lowered, weight_bytes(scoring.config, scoring.dtype, sizes.fsdp, sizes.tensor), planned.total)


def answering_ahead(
    name: str, config: ModelConfig, dtype: str, options: SamplingOptions, rows: int, prompt: int, mesh: Any
) -> Ahead:
    """The program that reads prompts of up to `prompt` tokens, or the one that writes answers of `rows` rows."""
    sizes = MeshSizes(*mesh.devices.shape, "")

    def program(config: ModelConfig, rows: int) -> Program:
        layout = cache_layout(config, options, rows, prompt)
        if name == "decode":
            return decode_program(config, dtype, options, layout, rows)
        return prefill_program(config, dtype, options, layout, rows, padded_length(prompt))

    groups = cache_groups(cache_layout(config, options, rows, prompt), rows, sizes.data)
    whole, part = program(config, rows), program(part_of_shape(config, sizes), rows // groups)
    cache = dataclasses.replace(whole.cache, groups=groups)
    where = sharding_of(cache.key.shape, axes_of(cache.kind, cache.key.ndim), mesh)
    weights = _laid_out(whole.weights, weight_shardings(config, mesh))
    cache = _laid_out(cache, jax.tree.map(lambda _: where, cache))
    with entered(mesh):
        lowered = dataclasses.replace(whole, weights=weights, cache=cache).lowered()
    given = weight_bytes(config, dtype, sizes.fsdp, sizes.tensor) + tree_bytes(part.cache)
    return Ahead(lowered, given, peak_bytes(part.traced(), in_place=DONATED))


def compiled(ahead: Ahead) -> dict[str, Any]:
    """What the module says of its output."""
    planned = {"planned_weights": ahead.weights, "planned_working": ahead.working}
    begun = time.perf_counter()
    try:
        program = ahead.lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not ran_out_of_memory(error):
            raise
        return planned | {"limit": str(error).partition("\n")[0], "seconds": time.perf_counter() - begun}
    seconds = time.perf_counter() - begun
    said = program.memory_analysis()
    sent = Counter((one.kind, one.shape) for one in collectives(program.as_text()))
    return planned | {
        "arguments": said.argument_size_in_bytes,
        "working": said.temp_size_in_bytes + said.output_size_in_bytes - said.alias_size_in_bytes,
        "limit": "fits",
        "sent": [[*one, count] for one, count in sorted(sent.items(), key=lambda item: -math.prod(item[0][1]))],
        "seconds": seconds,
    }


def _laid_out(tree: Any, where: Any) -> Any:
    return jax.tree.map(lambda a, place: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), tree, where)


def main() -> None:
    """Compiles one program and prints what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compile_ahead", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--devices", default="cpu:8", help="that are not here")
    parser.add_argument("--mesh", default="1,1,1", help="devices over data, fsdp and tensor")
    parser.add_argument("--shape", default="qwen_7b", choices=SHAPES, help="of the model")
    parser.add_argument("--dtype", default="bfloat16", help="of the weights")
    parser.add_argument("--program", default="scoring", choices=PROGRAMS, help="what is compiled")
    parser.add_argument("--level", default="block", choices=("block", "head"), help="of the scores")
    parser.add_argument("--rows", type=int, default=8, help="examples, or answers, at once")
    parser.add_argument("--length", type=int, default=512, help="tokens of an example, or of the longest prompt")
    parser.add_argument("--counted", type=int, default=256, help="of an example that is scored")
    parser.add_argument("--answer", type=int, default=1024, help="tokens of the longest answer")
    asked = parser.parse_args()
    prepare(asked.devices)
    data, fsdp, tensor = map(int, asked.mesh.split(","))
    mesh, config = absent_mesh(asked.devices, (data, fsdp, tensor)), SHAPES[asked.shape]
    with as_if_on(asked.devices):
        if asked.program == "scoring":
            sizes = (asked.rows, asked.length, asked.counted)
            ahead = scoring_ahead(Scoring(config, asked.dtype, "eap", asked.level, "zero", *sizes), mesh)
        else:
            options = SamplingOptions(max_new_tokens=asked.answer)
            ahead = answering_ahead(asked.program, config, asked.dtype, options, asked.rows, asked.length, mesh)
        print(json.dumps(vars(asked) | compiled(ahead)))


if __name__ == "__main__":
    main()
