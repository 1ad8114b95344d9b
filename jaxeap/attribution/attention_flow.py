"""Attention flow: the most that attention's connections could carry from each input token to the predictions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
import rich.progress
import scipy.sparse
from scipy.sparse.csgraph import maximum_flow

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.positions import predicting_position_weights
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, layer_step, layer_windows, run_layers
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import Taps
from jaxeap.parallel.mesh import entered

UNITS = 2**24
"""Whole units of flow that stand for 1: SciPy's maximum flow knows 32-bit integers only."""


def attention_flow(model: Decoder, batch: Batch) -> np.ndarray:
    """Maximum flow from every input token to the positions that predict the counted tokens.

    The nodes of the network are the positions at each layer; position t of layer l and position s below it are joined
    by a pipe of capacity 0.5 A_l[t, s] + 0.5 [t = s], with A_l averaged over heads (Abnar and Zuidema 2020, arXiv
    2005.00928, section 3). The predicting positions draw equal shares of 1 in all. Every token's flow is found for
    itself, so flows do not add up to 1; none is below the token's attention rollout, which is one way to fill the same
    pipes.

    Cost: a maximum flow for each token through L * T^2 / 2 pipes, on the CPU: for inputs of some tens of tokens. The
    attention probabilities of all layers are held at once, L * B * T^2 floats. `attention_rollout` has neither limit.

    Returns:
      [B, T] float32 from 0 to 1, to within 1e-7 a pipe; zero at padding.

    Raises:
      ValueError: a token beyond the vocabulary.
    """
    batch.check_vocabulary(model.config)
    with entered(model.mesh):
        mixing = _mixing_matrices(model.weights, model.config, batch)
    matrices = np.asarray(mixing, np.float64)
    draws = np.asarray(predicting_position_weights(batch), np.float64)
    flows = np.zeros(batch.tokens.shape, np.float32)
    console = rich.console.Console(stderr=True)
    examples = rich.progress.track(
        range(batch.size), "attention flow", console=console, transient=True, disable=not console.is_terminal
    )
    for example in examples:
        length = int(batch.mask[example].sum())
        network = flow_network(matrices[:, example, :length, :length], draws[example, :length])
        flows[example, :length] = [
            maximum_flow(network, 0, network.shape[0] - length + token).flow_value / UNITS for token in range(length)
        ]
    return flows


def flow_network(matrices: np.ndarray, draws: np.ndarray) -> scipy.sparse.csr_array:
    """Capacities in `UNITS`: node 0 draws [T] from the topmost positions, which draw from below by `matrices`.

    Args:
      matrices: [L, T, T] from the first layer to the last, row t for what position t draws.
      draws: [T].

    Returns:
      [1 + (L + 1) * T] squared, int32; after node 0 the positions of each layer from the top, the tokens last.
    """
    layers, length, _ = matrices.shape
    blocks = [[None] * (layers + 2) for _ in range(layers + 2)]
    blocks[0][1] = _in_units(draws[None])
    for depth, matrix in enumerate(matrices[::-1], start=1):
        blocks[depth][depth + 1] = _in_units(matrix)
    # The corners give the empty blocks around them their sizes.
    blocks[0][0], blocks[-1][-1] = (scipy.sparse.csr_array((size, size), dtype=np.int32) for size in (1, length))
    return scipy.sparse.block_array(blocks, format="csr", dtype=np.int32)


def _in_units(capacities: np.ndarray) -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(np.round(capacities * UNITS).astype(np.int32))


@functools.partial(jax.jit, static_argnames="config")
def _mixing_matrices(weights: Weights, config: ModelConfig, batch: Batch) -> jax.Array:
    """0.5 A_l + 0.5 I of every layer, A_l averaged over heads: [L, B, T, T] float32."""
    mask = jnp.asarray(batch.mask)
    size, length = mask.shape
    width = config.head_dim
    _, captures = run_layers(weights, config, embed(weights, config, jnp.asarray(batch.tokens)), mask)
    step = layer_step(config, mask)
    taps = jax.tree.map(lambda tap: tap[0], Taps.zeros(config, size, length).layers)
    # Values that are 1 at one position alone show which queries look there: a different position in each channel.
    blocks = -(-length // width)
    marks = jnp.eye(length, blocks * width).reshape(length, blocks, width).swapaxes(0, 1)

    def attended(x: jax.Array, layer: Mapping[str, jax.Array], window: jax.Array | None) -> jax.Array:
        x, layer = jax.tree.map(lambda a: a.astype(jnp.float32), (x, layer))

        def heads(value_tap: jax.Array) -> jax.Array:
            return step(x, layer, window, dataclasses.replace(taps, value=value_tap))[1].heads

        def looked(marked: jax.Array) -> jax.Array:
            """[T, K] -> [B, T, K], averaged over heads."""
            values = jnp.broadcast_to(marked[None, :, None], taps.value.shape)
            return jnp.mean(jax.jvp(heads, (taps.value,), (values,))[1], axis=2)

        return jnp.moveaxis(jax.lax.map(looked, marks), 0, 2).reshape(size, length, -1)[:, :, :length]

    layered = (captures.layers.attention_input, weights["layers"], layer_windows(config))
    probabilities = jax.lax.map(lambda here: attended(*here), layered)
    return 0.5 * probabilities + 0.5 * jnp.eye(length)[None, None]
