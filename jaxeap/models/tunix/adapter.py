"""jaxeap's decoder with the interface that google-tunix expects of the models that it trains and samples from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import (
    block,
    distinct_ropes,
    embed,
    layer_windows,
    position_embedding,
    turning,
    unembed,
    window_of,
)
from jaxeap.models.model import Decoder, Parameters
from jaxeap.models.parameters import Weights
from jaxeap.models.rope_scaling import LongRopeScaling

TunixCache = Mapping[str, Mapping[str, jax.Array]]
"""{"layer_0": {"k": [B, S, G, K], "v": [B, S, G, K], "end_index": [B] int32}, ...}; all rows fill their slots alike."""


class TunixDecoder(Parameters):
    """A model for Tunix's trainers; `from_tunix` makes a `Decoder` of what they return.

    Attributes:
      config: the decoder's shape; `num_layers`, `num_kv_heads` and `head_dim` are named as Tunix reads them.
      embedding, final_norm, layers, ...: the parameters, as those of `Decoder`.
    """

    def __init__(self, decoder: Decoder):
        """A copy: training it leaves `decoder` as it is.

        Raises:
          ValueError: the angles that this family turns by depend on how long each row is (longrope).
        """
        config: ModelConfig = decoder.config
        ropes = (config.rope, *distinct_ropes(config))
        if any(rope is not None and isinstance(rope.scaling, LongRopeScaling) for rope in ropes):
            raise ValueError("rotary embedding with longrope scaling depends on each row's length; Tunix keeps none")
        weights = jax.tree.map(jnp.copy, dict(decoder.weights))
        super().__init__({name: array for name, array in weights.items() if name != "layers"})
        self.config = config
        self.layers = Parameters(weights["layers"])

    @property
    def weights(self) -> Weights:
        """The parameters as a nested dict of arrays, named as in `parameter_specs`."""
        return nnx.to_pure_dict(nnx.state(self, nnx.Param))

    @property
    def num_embed(self) -> int:
        """V, under the name that Tunix's sampler reads."""
        return self.config.vocab_size

    def init_cache(self, batch_size: int, cache_size: int, dtype: Any) -> TunixCache:
        """An empty cache with room for `cache_size` tokens in every row."""
        shape = (batch_size, cache_size, self.config.num_kv_heads, self.config.head_dim)
        return {
            f"layer_{layer}": {
                "k": jnp.zeros(shape, dtype),
                "v": jnp.zeros(shape, dtype),
                "end_index": jnp.zeros((batch_size,), jnp.int32),
            }
            for layer in range(self.config.num_layers)
        }

    def __call__(
        self,
        input_tokens: jax.Array,
        positions: jax.Array,
        cache: TunixCache | None = None,
        attention_mask: jax.Array | None = None,
        segment_ids: jax.Array | None = None,
    ) -> tuple[jax.Array, TunixCache | None]:
        """Logits, and the cache with these tokens added.

        Args:
          input_tokens: [B, T] int32.
          positions: [B, T] int32, of each token among its row's real ones.
          cache: what was seen before, or None.
          attention_mask: [B, T, S] bool, which of the S slots (without a cache, the T tokens) each token sees; None for
            itself and all before it.
          segment_ids: [B, T] int32: without a cache, tokens see those of their own segment only. None for one segment.

        Returns:
          [B, T, V] float32; the cache, or None where none was given.
        """
        length = input_tokens.shape[1]
        weights, config = self.weights, self.config
        start = jnp.zeros((), jnp.int32) if cache is None else cache["layer_0"]["end_index"][0]
        slots = length if cache is None else cache["layer_0"]["k"].shape[1]
        distance = start + jnp.arange(length)[:, None] - jnp.arange(slots)[None, :]
        visible = (distance >= 0)[None] if attention_mask is None else attention_mask.astype(bool)
        if segment_ids is not None and cache is None:
            visible = visible & (segment_ids[:, :, None] == segment_ids[:, None, :])
        rotation, turned = turning(config, positions)

        def step(x: jax.Array, layered: Any) -> tuple[jax.Array, Any]:
            layer, window, seen = layered

            def mix(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, Any]:
                if seen is not None:
                    place = (0, start, 0, 0)
                    key = jax.lax.dynamic_update_slice(seen["k"], key.astype(seen["k"].dtype), place)
                    value = jax.lax.dynamic_update_slice(seen["v"], value.astype(seen["v"].dtype), place)
                limit = window_of(window)
                within = visible if limit is None else visible & (distance < limit)[None]
                heads = _attend(query, key.astype(query.dtype), value.astype(query.dtype), within, config)
                return heads, None if seen is None else {"k": key, "v": value}

            x, _, kept = block(x, layer, None, config, rotation, turned(window, mix))
            return x, kept

        at_positions = position_embedding(weights, positions)
        x = embed(weights, config, input_tokens)
        x = x if at_positions is None else x + at_positions
        layers = [f"layer_{layer}" for layer in range(config.num_layers)]
        stacked = None
        if cache is not None:
            stacked = {name: jnp.stack([cache[layer][name] for layer in layers]) for name in ("k", "v")}
        x, kept = jax.lax.scan(step, x, (weights["layers"], layer_windows(config), stacked))
        logits = unembed(weights, config, x)
        if cache is None:
            return logits, None
        return logits, {
            layer: {"k": kept["k"][index], "v": kept["v"][index], "end_index": cache[layer]["end_index"] + length}
            for index, layer in enumerate(layers)
        }


def _attend(query: jax.Array, key: jax.Array, value: jax.Array, visible: jax.Array, config: ModelConfig) -> jax.Array:
    """Softmax attention under an explicit mask: `attend` decides by positions, Tunix by slots.

    Args:
      query: [B, T, H, K].
      key, value: [B, S, G, K].
      visible: [B or 1, T, S] bool.
      config: the decoder's shape.
    """
    batch, length, heads, width = query.shape
    grouped = query.reshape(batch, length, config.num_kv_heads, heads // config.num_kv_heads, width)
    products = jnp.einsum("btgrk,bsgk->bgrts", grouped, key, preferred_element_type=jnp.float32) * config.query_scale
    if config.attention_softcap is not None:
        products = config.attention_softcap * jnp.tanh(products / config.attention_softcap)
    products = jnp.where(visible[:, None, None], products, 0.5 * jnp.finfo(jnp.float32).min)
    probabilities = jax.nn.softmax(products, axis=-1)
    return jnp.einsum("bgrts,bsgk->btgrk", probabilities.astype(value.dtype), value).reshape(query.shape)
