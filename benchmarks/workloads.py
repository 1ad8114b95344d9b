"""What is measured: the same batch through a forward pass, the floor, and each attribution method."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.attribution.attribute import METHODS
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import automatic_chunk
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.loss import counted_loss
from jaxeap.attribution.settings import Settings
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.parameters import Weights, random_weights
from jaxeap.models.rope import RopeConfig

Workload = Callable[[Weights, Batch], Any]

NAMES = ("forward", "floor", "block", "head", "head_ig5")
"""forward; floor = forward + backward by activations alone; EAP at both levels; EAP-IG with 5 steps at head level."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """One row of the benchmark: a random Qwen2-shaped model and a batch."""

    batch: int
    length: int
    layers: int = 8
    heads: int = 8

    def config(self) -> ModelConfig:
        """Width 512, 2 key/value heads, feed-forward width 1408, vocabulary 4096."""
        return ModelConfig(
            family="qwen2",
            vocab_size=4096,
            embed_dim=512,
            num_layers=self.layers,
            num_heads=self.heads,
            num_kv_heads=2,
            head_dim=512 // self.heads,
            mlp_dim=1408,
            activation="silu",
            norm_epsilon=1e-6,
            rope=RopeConfig(),
            windows=(None,) * self.layers,
            qkv_bias=True,
            tied_embeddings=True,
        )

    def inputs(self, seed: int = 0) -> tuple[Weights, Batch]:
        """Random weights, and random tokens of which the second half is counted."""
        rng = np.random.default_rng(seed)
        sequences = rng.integers(0, 4096, (self.batch, self.length + 1)).tolist()
        counted = [(self.length // 2, self.length + 1)] * self.batch
        return random_weights(self.config(), jax.random.key(seed)), Batch.from_sequences(sequences, counted)


def workloads(shape: Shape) -> Mapping[str, Workload]:
    """The functions to compile, by name."""
    config = shape.config()

    def forward(weights: Weights, batch: Batch) -> jax.Array:
        final, _ = run_layers(
            weights, config, embed(weights, config, jnp.asarray(batch.tokens)), jnp.asarray(batch.mask)
        )
        return counted_loss(weights, config, final, batch)

    def floor(weights: Weights, batch: Batch) -> tuple[jax.Array, jax.Array]:
        def summed(embedding: jax.Array) -> tuple[jax.Array, jax.Array]:
            final, _ = run_layers(weights, config, embedding, jnp.asarray(batch.mask))
            loss = counted_loss(weights, config, final, batch)
            return jnp.sum(loss), loss

        return jax.grad(summed, has_aux=True)(embed(weights, config, jnp.asarray(batch.tokens)))

    def method(name: str, level: Level, **options: Any) -> Workload:
        function, options_class = METHODS[name]
        chunk = automatic_chunk(EdgeGraph.for_config(config, level), config, shape.length)
        settings = Settings(level, "zero", chunk)
        return lambda weights, batch: function(weights, config, batch, None, settings, options_class(**options))

    return {
        "forward": forward,
        "floor": floor,
        "block": method("eap", "block"),
        "head": method("eap", "head"),
        "head_ig5": method("eap_ig_inputs", "head", steps=5),
    }
