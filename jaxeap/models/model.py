"""The model that users hold: a Flax module with named parameters and the configuration that shapes them."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxeap.models import decoder
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights, abstract_weights, random_weights


class Parameters(nnx.Module):
    """A named group of parameters; `Decoder.layers` is one, its arrays stacked over layers."""

    def __init__(self, arrays: Mapping[str, jax.Array]):
        for name, array in arrays.items():
            setattr(self, name, nnx.Param(array))


class Decoder(Parameters):
    """A decoder-only language model: `decoder(tokens, mask)` gives logits, `decoder.weights` feeds the plain functions.

    Attributes:
      config: its shape.
      embedding, final_norm, unembedding: `nnx.Param`s (the last where embeddings are not tied).
      layers: the layers' `nnx.Param`s, each stacked over layers.
    """

    def __init__(self, config: ModelConfig, weights: Weights):
        """Wraps weights.

        Args:
          config: the decoder's shape.
          weights: arrays named and shaped as `jaxeap.models.parameters.parameter_specs(config)` says.

        Raises:
          ValueError: the tree or a shape is not what `config` calls for.
        """
        expected = abstract_weights(config)
        if jax.tree.structure(weights) != jax.tree.structure(expected):
            raise ValueError(f"weights have the tree {jax.tree.structure(weights)}, the configuration needs {expected}")
        for (path, leaf), want in zip(
            jax.tree_util.tree_leaves_with_path(weights), jax.tree.leaves(expected), strict=True
        ):
            if leaf.shape != want.shape:
                raise ValueError(f"weight {jax.tree_util.keystr(path)} has shape {leaf.shape}, needs {want.shape}")
        super().__init__({name: array for name, array in weights.items() if name != "layers"})
        self.config = config
        self.layers = Parameters(weights["layers"])

    @classmethod
    def random(cls, config: ModelConfig, seed: int = 0, dtype: jnp.dtype = jnp.float32) -> Decoder:
        """A freshly initialised decoder."""
        return cls(config, random_weights(config, jax.random.key(seed), dtype))

    @property
    def weights(self) -> Weights:
        """The parameters as a nested dict of arrays (no copies), for the plain functions and for optax."""
        return nnx.to_pure_dict(nnx.state(self, nnx.Param))

    @property
    def dtype(self) -> jnp.dtype:
        """Dtype of the parameters."""
        return self.embedding.get_value().dtype

    def __call__(self, tokens: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Logits.

        Args:
          tokens: [B, T] int32.
          mask: [B, T] bool, True for real tokens; None where all are.

        Returns:
          [B, T, V] float32; undefined at padding.
        """
        mask = np.ones(np.shape(tokens), bool) if mask is None else mask
        return _logits(self.weights, self.config, jnp.asarray(tokens, jnp.int32), jnp.asarray(mask, bool))


_logits = functools.partial(jax.jit, static_argnums=1)(decoder.logits)
