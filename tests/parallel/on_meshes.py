"""A tiny decoder whose arrays' sizes cannot be taken for each other, and one program that makes all that is tested."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import contract
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.interventions import Deltas
from jaxeap.attribution.loss import gradient_norm
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import Trace, run_trace
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import logits
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import Weights, parameter_specs
from jaxeap.models.rope import RopeConfig
from jaxeap.parallel.mesh import entered, make_mesh

CONFIG = ModelConfig(
    family="qwen2",
    vocab_size=208,
    embed_dim=96,
    num_layers=2,
    num_heads=8,
    num_kv_heads=4,
    head_dim=16,
    mlp_dim=176,
    activation="silu",
    norm_epsilon=1e-6,
    rope=RopeConfig(),
    windows=(None, 5),
    qkv_bias=True,
    tied_embeddings=True,
)
UNEVEN = dataclasses.replace(CONFIG, num_heads=6, num_kv_heads=3, embed_dim=100, mlp_dim=90, vocab_size=211)
"""Of which tensor = 4 cuts the neurons, heads, vocabulary not at all, and the width over fsdp and tensor not evenly."""
LENGTHS = (9, 6, 12, 4, 7, 8, 5, 11)
COUNTED = ((4, 8), (1, 4), (8, 12), (2, 4), (3, 7), (1, 8), (2, 5), (5, 11))
CHUNK = 4
LARGEST_GATHER = CONFIG.embed_dim * CONFIG.num_kv_heads * CONFIG.head_dim // 2
"""Half of the smallest matrix of weights; activations and chunks are smaller, a chunk of all nodes is larger."""


class Computed(NamedTuple):
    """What is compared between a mesh and one device."""

    logits: Any
    trace: Trace
    block: Any
    head: Any
    gradient_norm: Any


@functools.partial(jax.jit, static_argnames="config")
def compute(weights: Weights, config: ModelConfig, batch: Batch) -> Computed:
    """Logits, the trace and both levels' scores in one program: it has to be compiled but once."""
    trace = run_trace(weights, config, batch)
    deltas = Deltas(Sources.of(trace.captures), None)
    block, head = (
        contract(weights, config, EdgeGraph.for_config(config, level), deltas, Destinations.of(trace), CHUNK)
        for level in ("block", "head")
    )
    return Computed(
        logits(weights, config, batch.tokens, batch.mask), trace, block, head, gradient_norm(trace.gradients.final)
    )


def ragged(size: int = len(LENGTHS), config: ModelConfig = CONFIG) -> Batch:
    """`size` examples of different lengths, with corrupted inputs."""
    rng = np.random.default_rng(7)
    one, other = ([rng.integers(1, config.vocab_size, n).tolist() for n in LENGTHS] for _ in range(2))
    return Batch.from_sequences(one[:size], COUNTED[:size], corrupted=other[:size], length=11, width=7)


@functools.cache
def decoder(shape: tuple[int, int, int] | None, config: ModelConfig = CONFIG) -> Decoder:
    """The same numbers on one device (None) and on a mesh (data, fsdp, tensor)."""
    return Decoder.random(config, seed=2, mesh=None if shape is None else make_mesh(*shape))


@functools.cache
def compiled(shape: tuple[int, int, int] | None, config: ModelConfig = CONFIG) -> Any:
    """`compute`, compiled for a mesh or one device."""
    model = decoder(shape, config)
    with entered(model.mesh):
        return compute.lower(model.weights, config, ragged(config=config)).compile()


@functools.cache
def computed(shape: tuple[int, int, int] | None, config: ModelConfig = CONFIG) -> Computed:
    """What `compute` gives there."""
    return compiled(shape, config)(decoder(shape, config).weights, ragged(config=config))


def matrices(config: ModelConfig) -> list[tuple[int, ...]]:
    """Shapes of all weights that matrix products read, of a layer and stacked."""
    return [
        shape
        for spec in parameter_specs(config).values()
        if len(spec.shape) > 1 and "embed" in spec.axes and len(spec.axes) > 1 + (spec.axes[0] == "layers")
        for shape in {spec.shape, spec.shape[spec.axes[0] == "layers" :]}
    ]
