"""A key/value cache of blocks: memory for the tokens that there are, not for those that there could be.

A pool of N blocks of Z tokens is shared by all rows. A row's table names its blocks in their order, so that slot s of
a row is slot s % Z of block table[row, s // Z], and an answer takes a new block every Z tokens. A block belongs to one
row. Measured on a CPU, 32 rows of 272 tokens: reading blocks by the table takes as long as reading fixed slots.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxeap.models.cache import require_room
from jaxeap.models.config import ModelConfig
from jaxeap.parallel.sharding import axes_of, sharding_of
from jaxeap.sampling.options import SamplingOptions

SLOTS_AT_ONCE = {"cpu": 64}
"""Attention visits the rows' blocks in chunks of this many slots a row. On a CPU small chunks waste less work on slots
that are not filled yet; an accelerator (512) would rather have few and large pieces."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PagedCache:
    """The pool.

    Keys lie with the slots last and values with the channels last, so that both products of attention are plain batched
    matrix products of what lies in memory. On a CPU that is ten times as fast as [..., slots, heads, channels].

    Attributes:
      key: [L, N, G, K, Z], rotated.
      value: [L, N, G, Z, K].
    """

    key: jax.Array
    value: jax.Array

    @classmethod
    def empty(cls, config: ModelConfig, blocks: int, slots: int, like: jax.Array) -> PagedCache:
        """`blocks` blocks of `slots` tokens, with the dtype and on the devices of the parameter `like`.

        Over a mesh, heads lie where those of the weights lie.
        """
        key = (config.num_layers, blocks, config.num_kv_heads, config.head_dim, slots)
        value = (*key[:3], slots, config.head_dim)
        mesh = getattr(like.sharding, "mesh", None)
        where = like.sharding if mesh is None else sharding_of(key, axes_of("cache", len(key)), mesh)
        return cls(*(jnp.zeros(shape, like.dtype, device=where) for shape in (key, value)))

    @property
    def blocks(self) -> int:
        """N."""
        return self.key.shape[1]

    @property
    def slots(self) -> int:
        """Z."""
        return self.key.shape[-1]


class CacheLayout(NamedTuple):
    """How large a cache is: `blocks` blocks of `slots` tokens, and how many blocks wide the rows' tables are.

    A row never has more than `longest` blocks; tables are wider, where attention visits several blocks at once.
    """

    slots: int
    blocks: int
    longest: int
    table_width: int

    @property
    def tokens(self) -> int:
        """That all blocks together have room for."""
        return self.slots * self.blocks


def cache_layout(config: ModelConfig, options: SamplingOptions, rows: int, longest_prompt: int) -> CacheLayout:
    """The cache in which `rows` prompts of up to `longest_prompt` tokens are answered at once.

    Raises:
      ValueError: the cache has no room for the longest answer, or the model has not as many positions.
    """
    longest = longest_prompt + options.max_new_tokens - 1  # The last token needs no slot: it predicts nothing.
    require_room(config, longest)
    slots = min(options.cache_block, -(-longest // 8) * 8)
    width = -(-longest // slots)
    blocks = rows * width  # More than that would never be used.
    if options.cache_tokens is not None:
        blocks = min(blocks, options.cache_tokens // slots)
    if blocks < width:
        raise ValueError(
            f"cache_tokens ({options.cache_tokens}) has no room for the longest answer, {longest} tokens "
            f"with its prompt of up to {longest_prompt}; give it at least {width * slots}, or lower max_new_tokens"
        )
    chunk = chunk_of(slots, width)
    return CacheLayout(slots, blocks, width, -(-width // chunk) * chunk)


def cache_bytes(config: ModelConfig, tokens: int, itemsize: int) -> int:
    """Bytes that the keys and values of so many tokens take, `itemsize` bytes a number."""
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * tokens * itemsize


def chunk_of(slots: int, table_width: int) -> int:
    """How many blocks of `slots` tokens attention visits at once, where tables have `table_width` of them."""
    at_once = SLOTS_AT_ONCE.get(jax.default_backend(), 512)
    return max(1, min(at_once // slots, table_width))


def put_tokens(
    cache: PagedCache,
    layer: jax.Array,
    table: jax.Array,
    positions: jax.Array,
    live: jax.Array,
    new: tuple[jax.Array, jax.Array],
) -> PagedCache:
    """Writes one token's key and value, each [B, G, K], of every live row into one layer.

    Args:
      cache: the pool.
      layer: scalar int32.
      table: [B, W] int32.
      positions: [B] int32, the slot of each row.
      live: [B] bool; what other rows have is dropped.
      new: (key, value).
    """
    slots = cache.slots
    blocks = jnp.take_along_axis(table, (positions // slots)[:, None], axis=1)[:, 0]
    blocks, within = jnp.where(live, blocks, cache.blocks), positions % slots
    key, value = new
    return PagedCache(
        cache.key.at[layer, blocks, :, :, within].set(key, mode="drop"),
        cache.value.at[layer, blocks, :, within].set(value, mode="drop"),
    )


def put_prompts(cache: PagedCache, blocks: jax.Array, keys: jax.Array, values: jax.Array) -> PagedCache:
    """Writes whole prompts into their blocks.

    Args:
      cache: the pool.
      blocks: [P, ceil(T / Z)] int32, each prompt's blocks; N or more where it needs none.
      keys, values: [L, P, T, G, K]. What stands after a prompt's end is written too, into the slots that the answer
        overwrites before they are seen.
    """
    count = blocks.shape[1]
    padding = count * cache.slots - keys.shape[2]

    def in_blocks(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (0, 0), (0, padding), (0, 0), (0, 0)))
        layers, prompts, _, heads, width = x.shape
        x = x.reshape(layers, prompts * count, cache.slots, heads, width)
        return x.transpose(axes)

    ids = blocks.reshape(-1)
    return PagedCache(
        cache.key.at[:, ids].set(in_blocks(keys, (0, 1, 3, 4, 2)), mode="drop"),
        cache.value.at[:, ids].set(in_blocks(values, (0, 1, 3, 2, 4)), mode="drop"),
    )


def attend_blocks(
    query: jax.Array,
    cache: PagedCache,
    layer: jax.Array,
    table: jax.Array,
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
      cache: the pool, the newest token in it.
      layer: scalar int32.
      table: [B, W] int32, W a multiple of `chunk_of`.
      lengths: [B] int32, cached tokens; a row with 0 gets a finite, unused value.
      window: scalar int32, how many tokens the layer sees; None for all.
      scale, softcap: as of `jaxeap.models.attention.attend`.

    Returns:
      [B, H, K] in query's dtype.
    """
    batch, heads, width = query.shape
    chex.assert_shape(table, (batch, None))
    chex.assert_shape(lengths, (batch,))
    groups, slots = cache.key.shape[2], cache.slots
    each = heads // groups
    chunk = chunk_of(slots, table.shape[1])
    span = chunk * slots
    grouped = jnp.broadcast_to(query.reshape(batch, 1, heads, width), (batch, chunk, heads, width))
    grouped = grouped.reshape(-1, each, width)
    lowest = jnp.finfo(jnp.float32).min
    within = jnp.arange(span, dtype=jnp.int32).reshape(1, chunk, slots)

    def visit(state: Any) -> Any:
        # Axes: b row, c block of the chunk, g key head, r query head of it, z slot; n is b, c and g as one, since
        # products with a single batch axis are what is fast.
        index, highest, total, summed = state
        blocks = jax.lax.dynamic_slice_in_dim(table, index * chunk, chunk, axis=1)
        # Without the promise each number is compared with the bounds, at half the speed of all of decoding.
        keys = cache.key.at[layer, blocks].get(mode="promise_in_bounds").reshape(-1, width, slots)
        values = cache.value.at[layer, blocks].get(mode="promise_in_bounds").reshape(-1, slots, width)
        products = scale * jnp.einsum("nrk,nkz->nrz", grouped, keys, preferred_element_type=jnp.float32)
        if softcap is not None:
            products = softcap * jnp.tanh(products / softcap)
        products = products.reshape(batch, chunk, groups, each, slots)
        distance = (lengths - 1 - index * span)[:, None, None] - within
        visible = distance >= 0 if window is None else (distance >= 0) & (distance < window)
        visible = visible[:, :, None, None, :]
        products = jnp.where(visible, products, lowest)
        higher = jnp.maximum(highest, jnp.max(products, axis=(1, 4)))
        # Selected, not left to underflow: where nothing was visible yet, the highest is as low as what is hidden.
        shares = jnp.where(visible, jnp.exp(products - higher[:, None, :, :, None]), 0.0)
        fading = jnp.exp(highest - higher)
        weighing = shares.astype(values.dtype).reshape(-1, each, slots)
        added = jnp.einsum("nrz,nzk->nrk", weighing, values, preferred_element_type=jnp.float32)
        total = total * fading + jnp.sum(shares, axis=(1, 4))
        summed = summed * fading[..., None] + jnp.sum(added.reshape(batch, chunk, groups, each, width), axis=1)
        return index + 1, higher, total, summed

    first = jnp.int32(0)
    if window is not None:
        shortest = jnp.min(jnp.where(lengths > 0, lengths, jnp.iinfo(jnp.int32).max))
        first = jnp.maximum(shortest - window, 0) // span
    last = -(-jnp.max(lengths) // span)
    shape = (batch, groups, each)
    start = (first, jnp.full(shape, lowest), jnp.zeros(shape, jnp.float32), jnp.zeros((*shape, width), jnp.float32))
    _, _, total, summed = jax.lax.while_loop(lambda state: state[0] < last, visit, start)
    attended = summed / jnp.maximum(total, jnp.finfo(jnp.float32).tiny)[..., None]
    return attended.reshape(batch, heads, width).astype(query.dtype)
