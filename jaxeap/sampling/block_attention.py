"""Attention of every row's newest token over the row's blocks of the cache."""

from __future__ import annotations

import math
from typing import Any

import chex
import jax
import jax.numpy as jnp

from jaxeap.sampling.paged_cache import PagedCache, chunk_of

LANES = 8
"""Numbers in the vector registers that XLA prefers on a CPU; sums over slots are kept apart for as many."""


def attend_blocks(
    query: jax.Array,
    cache: PagedCache,
    layer: jax.Array,
    table: jax.Array | None,
    lengths: jax.Array,
    window: jax.Array | None,
    scale: float,
    softcap: float | None,
) -> jax.Array:
    """Attention of each row's newest token over the row's cached tokens, itself included.

    Blocks are visited a chunk at a time with a running softmax (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et
    al. 2022, arXiv 2205.14135), from the first that some row sees to the longest row's last. A chunk of which a row
    sees nothing changes that row's numbers by not one bit, so they do not depend on how long the other rows are.

    Args:
      query: [B, H, K].
      cache: the pool, or a group's own part of it, the newest token in it.
      layer: scalar int32.
      table: [B, W] int32, W a multiple of `chunk_of`; None where every row has its own blocks.
      lengths: [B] int32, cached tokens; a row with 0 gets a finite, unused value.
      window: scalar int32, how many tokens the layer sees; None for all.
      scale, softcap: as of `jaxeap.models.attention.attend`.

    Returns:
      [B, H, K] in query's dtype.
    """
    batch, heads, width = query.shape
    chex.assert_shape(lengths, (batch,))
    groups, slots = cache.key.shape[2], cache.slots
    each = heads // groups
    columns = cache.blocks // batch if table is None else table.shape[1]
    chunk = chunk_of(cache.form, slots, columns)
    span = chunk * slots
    if table is None and chunk > 1:
        places = jnp.arange(-(-columns // chunk) * chunk, dtype=jnp.int32)[None]
        table = cache.reserved(jnp.arange(batch, dtype=jnp.int32)[:, None], batch, jnp.minimum(places, columns - 1))
    if table is not None:
        chex.assert_shape(table, (batch, None))
    by_sums = cache.form.summed
    lanes = math.gcd(slots, LANES) if by_sums else 1
    grouped = query.reshape(batch, 1, groups, each, width)
    within = jnp.arange(span, dtype=jnp.int32).reshape(1, chunk, slots)

    def read(pool: jax.Array, index: jax.Array) -> jax.Array:
        if table is None:
            start = (layer, index * batch, *(jnp.zeros_like(layer),) * 3)
            blocks = jax.lax.dynamic_slice(pool, start, (1, batch, *pool.shape[2:]))
        else:
            # Without the promise each number is compared with the bounds, at half the speed of all of decoding.
            ids = jax.lax.dynamic_slice_in_dim(table, index * chunk, chunk, axis=1)
            blocks = pool.at[layer, ids].get(mode="promise_in_bounds")
        return blocks.reshape(batch, chunk, *pool.shape[2:])

    def products_of(keys: jax.Array) -> jax.Array:
        return _products_by_sums(grouped, keys) if by_sums else _products(grouped, keys, cache.form.keys_by_channel)

    def visit(state: Any) -> Any:
        # Axes: b row, c block of the chunk, g key head, r query head of it, z slot, k channel.
        index, highest, total, summed = state
        keys, values = read(cache.key, index), read(cache.value, index)
        products = scale * products_of(keys)
        if softcap is not None:
            products = softcap * jnp.tanh(products / softcap)
        distance = (lengths - 1 - index * span)[:, None, None] - within
        visible = distance >= 0 if window is None else (distance >= 0) & (distance < window)
        products = jnp.where(visible[:, :, None, None, :], products, -jnp.inf)
        # What was highest is finite from the start: the shares of what is hidden are 0 where nothing is visible yet.
        higher = jnp.maximum(highest, _largest(products) if by_sums else jnp.max(products, axis=(1, 4)))
        shares = jnp.exp(products - higher[:, None, :, :, None])
        fading = jnp.exp(highest - higher)[..., None]
        added = _weighed_by_sums(shares, values) if by_sums else _weighed(shares, values)
        total = total * fading + jnp.sum(shares.reshape(batch, chunk, groups, each, -1, lanes), axis=(1, 4))
        return index + 1, higher, total, summed * fading[..., None] + added

    first = jnp.int32(0)
    if window is not None:
        shortest = jnp.min(jnp.where(lengths > 0, lengths, jnp.iinfo(jnp.int32).max))
        first = jnp.maximum(shortest - window, 0) // span
    last = -(-jnp.max(lengths) // span)
    shape = (batch, groups, each)
    start = (
        first,
        jnp.full(shape, jnp.finfo(jnp.float32).min),
        jnp.zeros((*shape, lanes), jnp.float32),
        jnp.zeros((*shape, width, lanes), jnp.float32),
    )
    _, _, total, summed = jax.lax.while_loop(lambda state: state[0] < last, visit, start)
    total, summed = jnp.sum(total, axis=-1), jnp.sum(summed, axis=-1)
    attended = summed / jnp.maximum(total, jnp.finfo(jnp.float32).tiny)[..., None]
    return attended.reshape(batch, heads, width).astype(query.dtype)


def _products(query: jax.Array, keys: jax.Array, by_channel: bool) -> jax.Array:
    """Query [B, 1, G, R, K] times keys [B, C, G, Z, K], or [B, C, G, K, Z] by channel: [B, C, G, R, Z] float32."""
    batch, chunk, groups, *matrix = keys.shape
    # Rows, blocks and key heads as one axis n, since products with a single batch axis are what is fast.
    query = jnp.broadcast_to(query, (batch, chunk, *query.shape[2:])).reshape(-1, *query.shape[3:])
    axes = "nrk,nkz->nrz" if by_channel else "nrk,nzk->nrz"
    products = jnp.einsum(axes, query, keys.reshape(-1, *matrix), preferred_element_type=jnp.float32)
    return products.reshape(batch, chunk, groups, *products.shape[1:])


def _products_by_sums(query: jax.Array, keys: jax.Array) -> jax.Array:
    return jnp.sum(query[..., None].astype(jnp.float32) * keys[:, :, :, None].astype(jnp.float32), axis=4)


def _weighed(shares: jax.Array, values: jax.Array) -> jax.Array:
    """Shares [B, C, G, R, Z] times values [B, C, G, Z, K]: [B, G, R, K, 1] float32."""
    batch, chunk, groups, each, slots = shares.shape
    shares = shares.astype(values.dtype).reshape(-1, each, slots)
    values = values.reshape(-1, *values.shape[3:])
    added = jnp.einsum("nrz,nzk->nrk", shares, values, preferred_element_type=jnp.float32)
    return jnp.sum(added.reshape(batch, chunk, groups, each, -1, 1), axis=1)


def _weighed_by_sums(shares: jax.Array, values: jax.Array) -> jax.Array:
    """The same of values [B, C, G, K, Z], apart for each lane: [B, G, R, K, lanes] float32, yet to be summed."""
    lanes = math.gcd(shares.shape[-1], LANES)
    shares = shares.reshape(*shares.shape[:-1], 1, -1, lanes)
    values = values.astype(jnp.float32).reshape(*values.shape[:3], 1, values.shape[3], -1, lanes)
    return jnp.sum(shares * values, axis=(1, 5))


def _largest(products: jax.Array) -> jax.Array:
    """The maximum over slots [B, C, G, R, Z], but for NaN, which the shares bring to light; so it is vectorised."""
    return jax.lax.reduce(products, jnp.float32(-jnp.inf), lambda a, b: jnp.where(a > b, a, b), (1, 4))
