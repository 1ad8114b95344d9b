"""The two compiled programs of generation: prompts into the cache, and several tokens for every row."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from jaxeap.models.attention import attend
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import (
    block,
    embed,
    layer_windows,
    position_embedding,
    positions_of,
    turning,
    unembed,
    window_of,
)
from jaxeap.models.parameters import Weights
from jaxeap.parallel.mesh import entered_mesh
from jaxeap.parallel.sharding import RULES, constrain, divided, replicated
from jaxeap.sampling.block_attention import attend_blocks
from jaxeap.sampling.draw import draw, token_keys
from jaxeap.sampling.paged_cache import PagedCache, put_prompts, put_tokens


class Drawing(NamedTuple):
    """How tokens are chosen; hashable, since it shapes the program. See `SamplingOptions`."""

    temperature: float
    top_k: int
    top_p: float


class Asked(NamedTuple):
    """Which answer each of M rows writes: [M] uint32 ids, [M] int32 samples."""

    ids: Any
    samples: Any


class Rows(NamedTuple):
    """B rows between two steps.

    Attributes:
      latest: [B] int32, the newest token, not yet in the cache.
      lengths: [B] int32, tokens in the cache.
      written: [B] int32, tokens of the answer so far, the newest one included.
      live: [B] bool; other rows rest.
    """

    latest: Any
    lengths: Any
    written: Any
    live: Any


class Drawn(NamedTuple):
    """What some steps gave.

    Attributes:
      tokens: [B, M] int32; of each row the first `counts` are real.
      counts: [B] int32.
      steps: scalar int32, how many steps were made.
      finite: scalar bool, no live row's logits held NaN or infinity.
    """

    tokens: jax.Array
    counts: jax.Array
    steps: jax.Array
    finite: jax.Array


def _choose(
    weights: Weights,
    config: ModelConfig,
    residual: jax.Array,
    asked: Asked,
    places: jax.Array,
    seed_key: jax.Array,
    drawing: Drawing,
) -> tuple[jax.Array, jax.Array]:
    """Next tokens [M], and which rows' logits are finite [M], of residual [M, D]."""
    logits = unembed(weights, config, residual)
    # NaN is its own maximum, and one infinity is enough to spoil a row.
    return draw(logits, token_keys(seed_key, *asked, places), *drawing), jnp.isfinite(jnp.max(logits, axis=-1))


@functools.partial(jax.jit, static_argnames=("config", "drawing"), donate_argnames="cache")
def prefill(
    weights: Weights,
    config: ModelConfig,
    cache: PagedCache,
    prompts: jax.Array,
    lengths: jax.Array,
    blocks: jax.Array,
    asked: Asked,
    seed_key: jax.Array,
    drawing: Drawing,
) -> tuple[PagedCache, jax.Array, jax.Array]:
    """Puts prompts into the cache and draws the first token of each answer.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      cache: is used up.
      prompts: [P, T] int32, right-padded.
      lengths: [P] int32; a row of length 0 is no prompt.
      blocks: as of `put_prompts`.
      asked: of the P rows.
      seed_key: scalar PRNG key.
      drawing: how tokens are chosen.

    Returns:
      The cache; first tokens [P] int32; scalar bool, whether every prompt's logits are finite.
    """
    mask = jnp.arange(prompts.shape[1], dtype=jnp.int32)[None] < lengths[:, None]
    positions = positions_of(mask)
    rotation, turned = turning(config, positions)

    def layer_step(x: jax.Array, layered: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        layer, window = layered

        def mix(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, Any]:
            heads = attend(
                query,
                key,
                value,
                positions,
                positions,
                mask,
                window_of(window),
                config.query_scale,
                softcap=config.attention_softcap,
            )
            return heads, (key, value)

        x, _, kept = block(x, layer, None, config, rotation, turned(window, mix))
        return x, kept

    x = _embedded(weights, config, prompts, positions)
    x, (keys, values) = jax.lax.scan(layer_step, x, (weights["layers"], layer_windows(config)))
    last = jnp.take_along_axis(x, jnp.maximum(lengths - 1, 0)[:, None, None], axis=1)[:, 0]
    tokens, finite = _choose(weights, config, last, asked, jnp.zeros_like(lengths), seed_key, drawing)
    cache = _laid_out(put_prompts(cache, blocks, keys, values))
    return cache, replicated(tokens), replicated(jnp.all(finite | (lengths == 0)))


@functools.partial(
    jax.jit, static_argnames=("config", "drawing", "stop_tokens", "room", "max_new_tokens"), donate_argnames="cache"
)
def decode(
    weights: Weights,
    config: ModelConfig,
    cache: PagedCache,
    table: jax.Array | None,
    rows: Rows,
    asked: Asked,
    seed_key: jax.Array,
    enough: jax.Array,
    drawing: Drawing,
    *,
    stop_tokens: tuple[int, ...],
    room: int,
    max_new_tokens: int,
) -> tuple[PagedCache, Drawn]:
    """Draws up to `room` tokens for every live row, in one program whatever the rows' lengths are.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      cache: is used up.
      table: [B, W] int32 or None, as of `attend_blocks`; a live row has blocks for `room` more tokens, or all that it
        may write.
      rows: the rows as they stand.
      asked: of the B rows.
      seed_key: scalar PRNG key.
      enough: scalar int32; so many rows that have ended are reason to come back, since others wait for their place.
      drawing: how tokens are chosen.
      stop_tokens: tokens that end an answer.
      room: the most steps, M.
      max_new_tokens: the most tokens of an answer.

    Returns:
      The cache and what was drawn.
    """
    batch = rows.latest.shape[0]
    stops = jnp.array(stop_tokens, jnp.int32)
    began = jnp.sum(rows.live)

    def goes_on(state: Any) -> jax.Array:
        rows, _, drawn = state
        living = jnp.sum(rows.live)
        return (drawn.steps < room) & (living > 0) & (began - living < enough)

    def advance(state: Any) -> Any:
        rows, cache, drawn = state
        residual, cache = _step(weights, config, cache, table, rows)
        tokens, finite = _choose(weights, config, residual, asked, rows.written, seed_key, drawing)
        count = rows.live.astype(jnp.int32)
        written = rows.written + count
        ended = jnp.isin(tokens, stops) | (written >= max_new_tokens)
        drawn = Drawn(
            drawn.tokens.at[:, drawn.steps].set(jnp.where(rows.live, tokens, 0)),
            drawn.counts + count,
            drawn.steps + 1,
            drawn.finite & jnp.all(finite | ~rows.live),
        )
        return Rows(tokens, rows.lengths + count, written, rows.live & ~ended), cache, drawn

    nothing = Drawn(jnp.zeros((batch, room), jnp.int32), jnp.zeros((batch,), jnp.int32), jnp.int32(0), jnp.array(True))
    _, cache, drawn = jax.lax.while_loop(goes_on, advance, (rows, cache, nothing))
    return _laid_out(cache), jax.tree.map(replicated, drawn)


def _step(
    weights: Weights, config: ModelConfig, cache: PagedCache, table: jax.Array | None, rows: Rows
) -> tuple[jax.Array, PagedCache]:
    """Last residual stream [B, D] at every row's newest token, and the cache with that token in it."""
    positions = rows.lengths[:, None]
    rotation, turned = turning(config, positions)
    lengths = jnp.where(rows.live, rows.lengths + 1, 0)

    def layer_step(carry: tuple[jax.Array, PagedCache], layered: Any) -> tuple[Any, None]:
        x, cache = carry
        layer, window, index = layered

        def mix(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, PagedCache]:
            new = constrain(key[:, 0], "cached"), constrain(value[:, 0], "cached")
            extended = put_tokens(cache, index, table, rows.lengths, rows.live, new)
            heads = _attended(query[:, 0], extended, index, table, lengths, window_of(window), config)
            return heads[:, None], extended

        x, _, cache = block(x, layer, None, config, rotation, turned(window, mix))
        return (x, cache), None

    x = _embedded(weights, config, rows.latest[:, None], positions)
    layered = (weights["layers"], layer_windows(config), jnp.arange(config.num_layers, dtype=jnp.int32))
    (x, cache), _ = jax.lax.scan(layer_step, (x, cache), layered)
    return x[:, 0], cache


def _laid_out(cache: PagedCache) -> PagedCache:
    return jax.tree.map(lambda pool: constrain(pool, cache.kind), cache)


def _embedded(weights: Weights, config: ModelConfig, tokens: jax.Array, positions: jax.Array) -> jax.Array:
    embedding, at_positions = embed(weights, config, tokens), position_embedding(weights, positions)
    return embedding if at_positions is None else embedding + at_positions


def _attended(
    query: jax.Array,
    cache: PagedCache,
    layer: jax.Array,
    table: jax.Array | None,
    lengths: jax.Array,
    window: Any,
    config: ModelConfig,
) -> jax.Array:
    """`attend_blocks` [B, H, K]; on a mesh each device attends with its own heads, for its own rows."""

    def attend_own(query: jax.Array, cache: PagedCache, layer: Any, table: Any, lengths: Any, window: Any) -> jax.Array:
        whole = dataclasses.replace(cache, groups=1)  # All that there is, to a group.
        return attend_blocks(query, whole, layer, table, lengths, window, config.query_scale, config.attention_softcap)

    mesh = entered_mesh()
    if mesh is None:
        return attend_own(query, cache, layer, table, lengths, window)
    own = RULES.along("reserved_blocks") if cache.groups > 1 else None
    # Without a table, where a row's blocks are follows from how many rows share the pool.
    rows = own if table is None else divided(len(query), RULES.along("batch"), mesh) or None
    heads = divided(config.num_kv_heads, RULES.along("kv_heads"), mesh) or None
    on_devices = jax.shard_map(
        attend_own,
        in_specs=(P(rows, heads), P(None, own, heads), P(), P(rows), P(rows), P()),
        out_specs=P(rows, heads),
        check_vma=False,
    )
    return on_devices(query, cache, layer, table, lengths, window)
