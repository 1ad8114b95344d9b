"""A key/value cache of blocks: memory for the tokens that there are, not for those that there could be.

A pool of N blocks of Z tokens is shared by all rows. A row's table names its blocks in their order, so that slot s of
a row is slot s % Z of block table[row, s // Z], and an answer takes a new block every Z tokens. A block belongs to one
row. Where the pool has room for the longest answer in every row, no table is needed: row b has blocks b, B + b, 2B + b,
and so on, so that the n-th blocks of all rows lie together and are read where they lie. Groups of devices that share
out the rows (`data` of the mesh) share out such a pool as well, each as if its own rows were all there are.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxeap.models.cache import require_room
from jaxeap.models.config import ModelConfig
from jaxeap.parallel.sharding import axes_of, sharding_of
from jaxeap.sampling.cache_form import CacheForm, cache_form
from jaxeap.sampling.options import SamplingOptions


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PagedCache:
    """The pool.

    Attributes:
      key: [L, N, G, Z, K], or [L, N, G, K, Z] where `form.keys_by_channel`; rotated.
      value: likewise, by `form.values_by_channel`.
      form: how they lie, and how attention reads them.
      groups: of devices that share out rows and pool; more than 1 only where every row has its own blocks.
    """

    key: jax.Array
    value: jax.Array
    form: CacheForm = dataclasses.field(metadata={"static": True})
    groups: int = dataclasses.field(default=1, metadata={"static": True})

    @classmethod
    def empty(cls, config: ModelConfig, blocks: int, slots: int, like: jax.Array, groups: int = 1) -> PagedCache:
        """`blocks` blocks of `slots` tokens, with the dtype and on the devices of the parameter `like`.

        Over a mesh, heads lie where those of the weights lie, and blocks with their group.
        """
        form, pool = cache_form(config), (config.num_layers, blocks, config.num_kv_heads)
        mesh = getattr(like.sharding, "mesh", None)

        def zeros(by_channel: bool) -> jax.Array:
            shape = (*pool, config.head_dim, slots) if by_channel else (*pool, slots, config.head_dim)
            where = like.sharding if mesh is None else sharding_of(shape, axes_of(_kind(groups), len(shape)), mesh)
            return jnp.zeros(shape, like.dtype, device=where)

        return cls(zeros(form.keys_by_channel), zeros(form.values_by_channel), form, groups)

    @property
    def blocks(self) -> int:
        """N."""
        return self.key.shape[1]

    @property
    def slots(self) -> int:
        """Z."""
        return self.key.shape[-1 if self.form.keys_by_channel else -2]

    @property
    def kind(self) -> str:
        """Of the pool's arrays, a key of `jaxeap.parallel.sharding.ARRAYS`."""
        return _kind(self.groups)

    def reserved(self, row: Any, rows: int, places: Any) -> Any:
        """The blocks at `places` of a row that has its own, among `rows` rows."""
        each = rows // self.groups
        return row // each * (self.blocks // self.groups) + places * each + row % each


class CacheLayout(NamedTuple):
    """How large a cache is: `blocks` blocks of `slots` tokens, and how many blocks wide the rows' tables are.

    A row never has more than `longest` blocks; tables are wider, where attention visits several blocks at once.
    `reserved` tells that every row has room for the longest answer, and blocks of its own: there is no table then.
    """

    slots: int
    blocks: int
    longest: int
    table_width: int
    reserved: bool

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
    chunk = chunk_of(cache_form(config), slots, width)
    return CacheLayout(slots, blocks, width, -(-width // chunk) * chunk, blocks == rows * width)


def cache_bytes(config: ModelConfig, tokens: int, itemsize: int) -> int:
    """Bytes that the keys and values of so many tokens take, `itemsize` bytes a number."""
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * tokens * itemsize


def chunk_of(form: CacheForm, slots: int, table_width: int) -> int:
    """How many blocks of `slots` tokens attention visits at once, where tables have `table_width` of them."""
    return max(1, min(form.slots_at_once // slots, table_width))


def cache_groups(layout: CacheLayout, rows: int, groups: int) -> int:
    """By how many of so many groups of devices a cache is shared out in which `rows` rows are answered at once."""
    return groups if layout.reserved and rows % groups == 0 else 1


def put_tokens(
    cache: PagedCache,
    layer: jax.Array,
    table: jax.Array | None,
    positions: jax.Array,
    live: jax.Array,
    new: tuple[jax.Array, jax.Array],
) -> PagedCache:
    """Writes one token's key and value, each [B, G, K], of every live row into one layer.

    Args:
      cache: the pool.
      layer: scalar int32.
      table: [B, W] int32; None where every row has its own blocks.
      positions: [B] int32, the slot of each row.
      live: [B] bool; what other rows have is dropped.
      new: (key, value).
    """
    slots = cache.slots
    if table is None:
        batch = positions.shape[0]
        blocks = cache.reserved(jnp.arange(batch, dtype=jnp.int32), batch, positions // slots)
    else:
        blocks = jnp.take_along_axis(table, (positions // slots)[:, None], axis=1)[:, 0]
    blocks, within = jnp.where(live, blocks, cache.blocks), positions % slots

    def put(pool: jax.Array, token: jax.Array, by_channel: bool) -> jax.Array:
        place = pool.at[layer, blocks, :, :, within] if by_channel else pool.at[layer, blocks, :, within]
        return place.set(token, mode="drop")

    key = put(cache.key, new[0], cache.form.keys_by_channel)
    return dataclasses.replace(cache, key=key, value=put(cache.value, new[1], cache.form.values_by_channel))


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

    def in_blocks(x: jax.Array, by_channel: bool) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (0, 0), (0, padding), (0, 0), (0, 0)))
        layers, prompts, _, heads, width = x.shape
        x = x.reshape(layers, prompts * count, cache.slots, heads, width)
        return x.transpose((0, 1, 3, 4, 2) if by_channel else (0, 1, 3, 2, 4))

    ids = blocks.reshape(-1)
    return dataclasses.replace(
        cache,
        key=cache.key.at[:, ids].set(in_blocks(keys, cache.form.keys_by_channel), mode="drop"),
        value=cache.value.at[:, ids].set(in_blocks(values, cache.form.values_by_channel), mode="drop"),
    )


def _kind(groups: int) -> str:
    return "cache" if groups == 1 else "reserved_cache"
