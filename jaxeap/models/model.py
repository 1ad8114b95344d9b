"""The model that users hold: a Flax module with named parameters and the configuration that shapes them."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx

from jaxeap.models import decoder
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights, abstract_weights, nest, parameter_specs, random_weights
from jaxeap.parallel.mesh import entered, mesh_of_arrays
from jaxeap.parallel.sharding import sharding_of


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
          ValueError: names or shapes are not what `config` calls for; the message lists every difference.
        """
        found, needed = _shapes(weights), _shapes(abstract_weights(config))
        if found != needed:
            differing = sorted(name for name in found | needed if found.get(name) != needed.get(name))
            listed = ", ".join(f"{name} is {found.get(name)}, needs {needed.get(name)}" for name in differing)
            raise ValueError(f"weights do not fit the configuration: {listed}")
        super().__init__({name: array for name, array in weights.items() if name != "layers"})
        self.config = config
        self.layers = Parameters(weights["layers"])

    @classmethod
    def random(
        cls, config: ModelConfig, seed: int = 0, dtype: jnp.dtype = jnp.float32, mesh: jax.sharding.Mesh | None = None
    ) -> Decoder:
        """A freshly initialised decoder, laid out over `mesh` if there is one; the numbers are the same."""
        if mesh is None:
            return cls(config, random_weights(config, jax.random.key(seed), dtype))
        where = weight_shardings(config, mesh)
        make = jax.jit(random_weights, static_argnums=(0, 2), out_shardings=where)
        return cls(config, make(config, jax.random.key(seed), dtype))

    @property
    def weights(self) -> Weights:
        """The parameters as a nested dict of arrays (no copies), for the plain functions and for optax."""
        return nnx.to_pure_dict(nnx.state(self, nnx.Param))

    @property
    def dtype(self) -> jnp.dtype:
        """Dtype of the parameters."""
        return self.weights["embedding"].dtype

    @property
    def mesh(self) -> jax.sharding.Mesh | None:
        """The devices that the parameters are laid out over; None for one device."""
        return mesh_of_arrays(self.weights)

    def __call__(self, tokens: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Logits.

        Args:
          tokens: [B, T] int32.
          mask: [B, T] bool, True for real tokens; None where all are.

        Returns:
          [B, T, V] float32; undefined at padding.
        """
        tokens = jnp.asarray(tokens, jnp.int32)
        mask = jnp.ones(tokens.shape, bool) if mask is None else jnp.asarray(mask, bool)
        with entered(self.mesh):
            return _logits(self.weights, self.config, tokens, mask)


def weight_shardings(config: ModelConfig, mesh: jax.sharding.Mesh | None) -> Weights:
    """Where each parameter lies, in the tree of the weights."""
    specs = parameter_specs(config).items()
    return nest({name: sharding_of(spec.shape, spec.axes, mesh) for name, spec in specs})


def _shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    """Path ("layers/query") -> shape."""
    leaves = jax.tree_util.tree_leaves_with_path(weights)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape for path, leaf in leaves}


_logits = functools.partial(jax.jit, static_argnums=1)(decoder.logits)
