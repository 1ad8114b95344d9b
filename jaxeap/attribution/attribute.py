"""`attribute`: one call for every method."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import CHUNK_BYTES, automatic_chunk
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.interventions import Ablation, MeanOver, check_ablation, mean_of_sums, source_sums
from jaxeap.attribution.methods.clean_corrupted import CleanCorruptedOptions, clean_corrupted
from jaxeap.attribution.methods.eap import EapOptions, eap
from jaxeap.attribution.methods.eap_ig_activations import eap_ig_activations
from jaxeap.attribution.methods.eap_ig_inputs import eap_ig_inputs
from jaxeap.attribution.methods.exact import ExactOptions, exact
from jaxeap.attribution.methods.information_flow import InformationFlowOptions, information_flow
from jaxeap.attribution.methods.path import PathOptions
from jaxeap.attribution.methods.relp import RelpOptions, relp
from jaxeap.attribution.part import Part
from jaxeap.attribution.result import AttributionResult
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.models.model import Decoder
from jaxeap.parallel.mesh import entered, example_groups
from jaxeap.parallel.sharding import put


class Method(NamedTuple):
    """A method: its function (scores, loss and gradient norm of a batch) and the dataclass of its own options."""

    function: Callable[..., tuple[jax.Array, jax.Array, jax.Array]]
    options: type


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "eap": Method(eap, EapOptions),
        "eap_ig_inputs": Method(eap_ig_inputs, PathOptions),
        "eap_ig_activations": Method(eap_ig_activations, PathOptions),
        "clean_corrupted": Method(clean_corrupted, CleanCorruptedOptions),
        "exact": Method(exact, ExactOptions),
        "relp": Method(relp, RelpOptions),
        "information_flow": Method(information_flow, InformationFlowOptions),
    }
)


def attribute(
    model: Decoder,
    batch: Batch,
    method: str = "eap",
    level: Level = "block",
    ablation: Ablation = "zero",
    reference: Sources | None = None,
    chunk: int | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    seed: int = 0,
    **options: Any,
) -> AttributionResult:
    """Scores every edge of the residual graph for every example.

    An example's scores do not depend on the others in the batch (but for ablation "resample", which takes another
    example by definition), nor on padding or on `chunk` beyond float32 rounding.

    Args:
      model: the decoder.
      batch: examples, and which of their tokens the loss counts.
      method: a key of `METHODS`; docs/attribution.md says what each is and costs.
      level: "block" or "head".
      ablation: "zero", "corrupted" (needs `batch.corrupted`), "mean" (needs `reference`) or "resample".
      reference: mean outputs of the sources, from `mean_sources`.
      chunk: positions of an example expanded at once; None takes as many as fit into `chunk_bytes`.
      chunk_bytes: memory for the expanded sources and destinations.
      seed: of the draw for "resample".
      **options: the method's own, as in its options dataclass.

    Raises:
      ValueError: an unknown method, level, ablation or option; a token beyond the vocabulary; a missing reference.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown; use one of {', '.join(METHODS)}")
    function, options_class = METHODS[method]
    known = {field.name for field in dataclasses.fields(options_class)}
    if unknown := sorted(set(options) - known):
        raise ValueError(f"method {method!r} has no option {', '.join(unknown)}; it has {sorted(known) or 'none'}")
    graph = EdgeGraph.for_config(model.config, level)
    check_ablation(ablation, batch, reference)
    batch.check_vocabulary(model.config)
    mesh, size, length = model.mesh, *batch.tokens.shape
    if ablation != "resample":  # which would take the repeated example for one of the others
        batch = batch.filled(example_groups(mesh))
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1 position, got {chunk}")
    if chunk is None:
        with entered(mesh):
            slices = Part.of(model.config, batch.size).devices
        chunk = automatic_chunk(graph, model.config, length, chunk_bytes, slices)
    settings = Settings(level, ablation, min(chunk, length), seed)
    with entered(mesh):
        laid_out = batch.on(mesh)
        scores, loss, norm = function(
            model.weights, model.config, laid_out, reference, settings, options_class(**options)
        )
    if size < batch.size:
        scores, loss, norm = scores[:size], loss[:size], norm[:size]
    return AttributionResult(scores, loss, graph, method, ablation, seed, norm)


def mean_sources(model: Decoder, batches: Batch | Iterable[Batch], over: MeanOver = "real_positions") -> Sources:
    """Mean output of every source over a reference set, for ablation "mean".

    Args:
      model: the decoder.
      batches: the reference examples; padding is left out.
      over: "real_positions" (one mean for all positions) or "each_position" (a mean for each).
    """
    if over not in ("real_positions", "each_position"):
        raise ValueError(f"over={over!r} is unknown; use 'real_positions' or 'each_position'")
    batches = [batches] if isinstance(batches, Batch) else list(batches)
    if not batches:
        raise ValueError("the reference set for mean ablation is empty")
    for batch in batches:
        batch.check_vocabulary(model.config)
    return mean_of_sums(summed_sources(model, batch, over) for batch in batches)


def summed_sources(model: Decoder, batch: Batch, over: MeanOver) -> tuple[Sources, jax.Array]:
    """Sums of the sources over a batch and how many positions were summed, as of `source_sums`; a forward pass."""
    filled = batch.filled(example_groups(model.mesh))
    real = filled.mask & (np.arange(filled.size) < batch.size)[:, None]
    with entered(model.mesh):
        on_devices = (put(array, "tokens", model.mesh) for array in (filled.tokens, real))
        return _source_sums(model.weights, model.config, *on_devices, over)


_source_sums = functools.partial(jax.jit, static_argnums=(1, 4))(source_sums)
