"""Neuron-level attribution patching: feed-forward neurons and channels of head outputs, from the trace of the edges."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import chex
import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.interventions import check_ablation
from jaxeap.attribution.trace import run_trace
from jaxeap.models.attention import output_projection
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.mlp import down_projection, gated_neurons
from jaxeap.models.model import Decoder
from jaxeap.models.norm import inverse_root, norm
from jaxeap.models.parameters import Weights
from jaxeap.models.routed_mlp import EXPERT, expert_shares
from jaxeap.parallel.mesh import entered

NeuronAblation = Literal["zero", "corrupted"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NeuronScores:
    """First-order effect on the loss of replacing one neuron or channel at all positions.

    Attributes:
      mlp: [B, L, F] float32, feed-forward neurons: activation(gate) * up, before the down projection. Of routed layers
        [B, L, E * F], expert by expert, each neuron times its expert's share of the token; summed over an expert's
        neurons it is the score of the expert.
      heads: [B, L, H, K] float32, channels of the heads' outputs, before the output projection.
      loss: [B] float32, in nats.
    """

    mlp: jax.Array
    heads: jax.Array
    loss: jax.Array


def attribute_neurons(model: Decoder, batch: Batch, ablation: NeuronAblation = "zero") -> NeuronScores:
    """Scores every feed-forward neuron and every channel of every head for every example.

    With n the neuron's value, delta_n = (ablated value) - n, and R_l the gradient at the residual stream right after
    m{l}, which is the sum of the gradients at all later destinations,

        mlp[l, f] = sum over t of delta_n[t] * <W_down[f], R_l[t]>

    and likewise for head channels through the output projection. Attribution patching (Nanda 2023) on neurons; with
    zero ablation it is the first-order term of pruning them (Molchanov et al. 2017, arXiv 1611.06440). Summed over a
    node's neurons it is the node's score in `node_scores`.

    Cost: the trace, and about one more forward pass of the feed-forward layers (two for "corrupted", and that run).
    Layers are taken one at a time from the last, so memory beyond the trace is that of a single layer.

    Args:
      model: the decoder.
      batch: examples; `batch.corrupted` for ablation "corrupted".
      ablation: "zero" or "corrupted" (the neuron's value on the corrupted input, position by position).

    Raises:
      ValueError: another ablation; no corrupted inputs; a token beyond the vocabulary.
    """
    if ablation not in get_args(NeuronAblation):
        raise ValueError(f"neurons are ablated by {' or '.join(get_args(NeuronAblation))}, not {ablation!r}")
    check_ablation(ablation, batch, None)
    batch.check_vocabulary(model.config)
    with entered(model.mesh):
        return _attribute_neurons(model.weights, model.config, batch, ablation)


@functools.partial(jax.jit, static_argnames=("config", "ablation"))
def _attribute_neurons(weights: Weights, config: ModelConfig, batch: Batch, ablation: NeuronAblation) -> NeuronScores:
    trace = run_trace(weights, config, batch)
    ablated = None
    if ablation == "corrupted":
        corrupted = embed(weights, config, jnp.asarray(batch.corrupted))
        ablated = run_layers(weights, config, corrupted, jnp.asarray(batch.mask))[1].layers
    # The rows embed, a0 and m0, the columns q, k, v, m and whatever comes after layer 0, which reads them all.
    readers = jnp.asarray(EdgeGraph.for_config(config, "block").mask[:3, :5], jnp.float32)

    def score_layer(after: jax.Array, here: tuple) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        layer, gradients, captures, ablated = here
        # A layer with all that follows it is a decoder of one layer, whose logits' gradient is `after`.
        destinations = Destinations(
            query=gradients.query[None],
            key=gradients.key[None],
            value=gradients.value[None],
            mlp=gradients.mlp[None],
            final=after,
            attention_input=captures.attention_input[None],
        )
        expanded = destinations.expand({"layers": jax.tree.map(lambda a: a[None], layer)}, config, "block")
        before, at_heads, at_mlp = jnp.moveaxis(_exact_einsum("sj,bjtd->bstd", readers, expanded), 1, 0)
        runs = [captures] if ablated is None else [captures, ablated]
        head_deltas = _change([run.heads.astype(jnp.float32) for run in runs])
        head_gradients = _exact_einsum("hkd,btd->bthk", output_projection(layer, config).astype(jnp.float32), at_heads)
        heads = jnp.sum(head_deltas * head_gradients, axis=1)
        return before, (_feed_forward_scores([run.mlp_input for run in runs], layer, config, at_mlp), heads)

    layers = (weights["layers"], trace.gradients.layers, trace.captures.layers, ablated)
    final = trace.gradients.final.astype(jnp.float32)
    _, (mlp, heads) = jax.lax.scan(score_layer, final, layers, reverse=True)
    chex.assert_shape(mlp, (config.num_layers, batch.size, max(1, config.num_experts) * config.mlp_dim))
    chex.assert_shape(heads, (config.num_layers, batch.size, config.num_heads, config.head_dim))
    return NeuronScores(jnp.moveaxis(mlp, 0, 1), jnp.moveaxis(heads, 0, 1), trace.loss)


_exact_einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)


def _change(runs: Sequence[jax.Array]) -> jax.Array:
    """(ablated value, or zero) - (clean value) from the clean run and, where there is one, the ablated."""
    return -runs[0] if len(runs) == 1 else runs[1] - runs[0]


def _feed_forward_scores(
    inputs: Sequence[jax.Array], layer: Mapping[str, jax.Array], config: ModelConfig, gradient: jax.Array
) -> jax.Array:
    """[B, F], or [B, E * F] of a routed layer, one expert at a time.

    Args:
      inputs: residual stream [B, T, D] that the layer reads in each run.
      layer: its weights.
      config: the decoder's shape.
      gradient: [B, T, D] float32 of the loss by the residual stream after the layer.
    """
    normed = [norm(x, layer, "mlp_norm", config) for x in inputs]
    if not config.num_experts:
        return _expert_scores(normed, [None] * len(normed), layer, config, gradient)
    experts = {name: layer[name] for name in EXPERT}
    shares = [jnp.moveaxis(expert_shares(x, layer, config), -1, 0) for x in normed]
    scores = jax.lax.map(lambda here: _expert_scores(normed, here[1], here[0], config, gradient), (experts, shares))
    return jnp.moveaxis(scores, 0, 1).reshape(gradient.shape[0], -1)


def _expert_scores(
    normed: Sequence[jax.Array],
    shares: Sequence[jax.Array | None],
    layer: Mapping[str, jax.Array],
    config: ModelConfig,
    gradient: jax.Array,
) -> jax.Array:
    """[B, F] of one gated layer whose output is multiplied, run by run, by shares [B, T] (None: by one)."""

    def value(x: jax.Array, share: jax.Array | None) -> jax.Array:
        neurons = gated_neurons(x, layer, config.activation)
        wide = neurons.astype(jnp.float32)
        if config.post_norms:  # as of heads, the part of one neuron is what this run's denominator makes of it
            written = jnp.einsum("btf,fd->btd", neurons, layer["down"])
            wide = wide * inverse_root(written, config.norm_epsilon)
        return wide if share is None else wide * share[:, :, None]

    changes = _change([value(x, share) for x, share in zip(normed, shares, strict=True)])
    gradients = _exact_einsum("fd,btd->btf", down_projection(layer, config).astype(jnp.float32), gradient)
    return jnp.sum(changes * gradients, axis=1)
