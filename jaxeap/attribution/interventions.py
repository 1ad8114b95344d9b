"""What an ablated source is replaced by; every method sees an intervention only as delta = ablated - clean."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import Level, SourceKind
from jaxeap.attribution.part import WHOLE, Of, Part
from jaxeap.attribution.sources import Sources
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.parameters import Weights
from jaxeap.parallel.sharding import constrain

Ablation = Literal["zero", "corrupted", "mean", "resample"]
MeanOver = Literal["real_positions", "each_position"]


def check_ablation(ablation: str, batch: Batch, reference: Sources | None) -> None:
    """Raises ValueError where the ablation is unknown, or lacks or does not use what the batch and reference give."""
    if ablation not in get_args(Ablation):
        raise ValueError(f"ablation {ablation!r} is unknown; use one of {', '.join(get_args(Ablation))}")
    if ablation == "corrupted" and batch.corrupted is None:
        raise ValueError("ablation 'corrupted' needs Batch.from_sequences(..., corrupted=...)")
    if (ablation == "mean") != (reference is not None):
        raise ValueError("ablation 'mean' needs reference=jaxeap.mean_sources(...), and no other ablation takes one")
    if reference is not None:
        covered, longest = reference.embedding.shape[1], int(np.max(np.sum(batch.mask, axis=1)))
        if 1 < covered < longest:
            raise ValueError(
                f"the per-position mean covers {covered} positions, the batch has {longest}; "
                "take a longer reference set, or the mean over 'real_positions'"
            )
    if ablation == "resample" and batch.size < 2:
        raise ValueError("ablation 'resample' takes another example of the batch, and there is only one")


def run_sources(weights: Weights, config: ModelConfig, tokens: jax.Array, mask: jax.Array) -> Sources:
    """Outputs of all sources on tokens [B, T]: a forward pass."""
    _, captures = run_layers(weights, config, embed(weights, config, tokens), mask)
    return Sources.of(captures)


def ablated_sources(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    clean: Sources,
    ablation: Ablation,
    reference: Sources | None,
    seed: int | jax.Array,
) -> Sources:
    """What each source is replaced by.

    - zero: nothing.
    - corrupted: its output on `batch.corrupted`, position by position.
    - mean: its mean output over a reference set, [1, 1, D] or [1, T, D] of `mean_sources`.
    - resample: its output on another example of the batch, each example standing in for exactly one other (a random
      cyclic order drawn from `seed`); positions beyond the other's end take the other's last.
    """
    if ablation == "zero":
        return jax.tree.map(jnp.zeros_like, clean).arrays(constrain)
    if ablation == "corrupted":
        return run_sources(weights, config, jnp.asarray(batch.corrupted), jnp.asarray(batch.mask))
    if ablation == "mean":
        assert reference is not None
        means = jax.tree.map(
            lambda mean, like: jnp.broadcast_to(_first_positions(mean, like), like.shape).astype(like.dtype),
            reference,
            dataclasses.replace(clean, output_bias=None),
        )
        return dataclasses.replace(means, output_bias=clean.output_bias).arrays(constrain)
    order = jax.random.permutation(jax.random.key(seed), batch.size)
    other = jnp.zeros_like(order).at[order].set(jnp.roll(order, 1))
    last = jnp.sum(jnp.asarray(batch.mask), axis=1, dtype=jnp.int32)[other] - 1
    positions = jnp.minimum(jnp.arange(batch.tokens.shape[1], dtype=jnp.int32)[None], last[:, None])
    return Sources(
        embedding=clean.embedding[other[:, None], positions],
        heads=clean.heads[:, other[:, None], positions],
        attention=clean.attention[:, other[:, None], positions],
        mlp=clean.mlp[:, other[:, None], positions],
        output_bias=clean.output_bias,
    ).arrays(constrain)


def _first_positions(mean: jax.Array, like: jax.Array) -> jax.Array:
    """A per-position mean [.., 1, T', ..] at the positions of `like` [.., B, T, ..].

    `check_ablation` has seen to it that T' reaches as far as the batch has real tokens; what stands beyond is padding.
    """
    axis = like.ndim - mean.ndim + (1 if like.ndim == 3 else 2)
    if mean.shape[axis] == 1:
        return mean
    missing = [(0, 0)] * mean.ndim
    missing[axis] = (0, max(0, like.shape[axis] - mean.shape[axis]))
    return jax.lax.slice_in_dim(jnp.pad(mean, missing), 0, like.shape[axis], axis=axis)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Deltas:
    """delta = (ablated value) - (clean value) of every source, the one definition behind every method.

    Both values are kept in the model's dtype and subtracted once they stand in the residual stream in float32: the
    difference of two near bfloat16 numbers would have lost its digits.

    Attributes:
      clean: the sources' outputs.
      ablated: what they are replaced by; None for zero.
    """

    clean: Sources
    ablated: Sources | None

    @classmethod
    def of(cls, clean: Sources, ablated: Sources, ablation: Ablation) -> Deltas:
        """The deltas of an ablation whose values `ablated_sources` made."""
        return cls(clean, None if ablation == "zero" else ablated)

    def at(self, start: jax.Array, size: int) -> Deltas:
        """Positions start to start + size, of a batch or of one example."""
        return Deltas(self.clean.at(start, size), self.ablated and self.ablated.at(start, size))

    def example(self, index: jax.Array) -> Deltas:
        """One example, without the batch axis."""
        return Deltas(self.clean.example(index), self.ablated and self.ablated.example(index))

    def arrays(self, of: Of) -> Deltas:
        """`of` each array and its kind, in the same form."""
        return Deltas(self.clean.arrays(of), self.ablated and self.ablated.arrays(of))

    def by_kind(
        self, weights: Weights, config: ModelConfig, level: Level, part: Part = WHOLE
    ) -> dict[SourceKind, jax.Array]:
        """delta of one example's sources in the residual stream: for each kind [nodes, T, D] float32, by layers."""
        clean = self.clean.by_kind(weights, config, level, part)
        if self.ablated is None:
            return jax.tree.map(jnp.negative, clean)
        return jax.tree.map(jnp.subtract, self.ablated.by_kind(weights, config, level, part), clean)


def source_sums(
    weights: Weights, config: ModelConfig, tokens: jax.Array, mask: jax.Array, over: MeanOver
) -> tuple[Sources, jax.Array]:
    """Sums of the sources over a batch's real positions (all, or each apart), float32, and how many were summed."""
    real = mask.astype(jnp.float32)
    axes = (0, 1) if over == "real_positions" else (0,)

    def summed(outputs: jax.Array) -> jax.Array:
        """[B, T, ...] -> [1, 1 or T, ...]."""
        weight = real.reshape(real.shape + (1,) * (outputs.ndim - 2))
        return jnp.sum(jnp.where(weight > 0, outputs.astype(jnp.float32), 0.0), axis=axes, keepdims=True)

    sources = run_sources(weights, config, tokens, mask)
    in_layers = jax.vmap(summed)
    sums = Sources(
        summed(sources.embedding), in_layers(sources.heads), in_layers(sources.attention), in_layers(sources.mlp)
    )
    return sums, jnp.sum(real, axis=axes, keepdims=True)


def add_sums(one: tuple[Sources, jax.Array], other: tuple[Sources, jax.Array]) -> tuple[Sources, jax.Array]:
    """Sums over both of two sets of examples, from `source_sums` of each; the shorter is padded at its end."""
    longest = max(one[1].shape[1], other[1].shape[1])

    def padded(a: jax.Array, axis: int) -> jax.Array:
        widths = [(0, 0)] * a.ndim
        widths[axis] = (0, longest - a.shape[axis])
        return jnp.pad(a, widths)

    def total(axis: int, a: jax.Array, b: jax.Array) -> jax.Array:
        return padded(a, axis) + padded(b, axis)

    return jax.tree.map(total, _POSITION_AXES, one[0], other[0]), total(1, one[1], other[1])


def mean_of_sums(parts: Iterable[tuple[Sources, jax.Array]]) -> Sources:
    """Mean output of each source from the sums of several batches, of which one is held at a time.

    Returns:
      embedding [1, T', D], heads [L, 1, T', H, K], attention and mlp [L, 1, T', D], float32; T' is 1 for a mean over
      all real positions, else how many positions have a real token in some example.

    Raises:
      ValueError: a mean for each position of a reference set whose examples have but one.
    """
    sums, count = functools.reduce(add_sums, parts)
    longest = count.shape[1]
    covered = int(np.sum(np.asarray(count) > 0))
    if covered == 1 < longest:
        raise ValueError("the reference set's examples have one position each; take the mean over 'real_positions'")
    count = count[:, :covered]
    total = jax.tree.map(lambda axis, a: jax.lax.slice_in_dim(a, 0, covered, axis=axis), _POSITION_AXES, sums)
    return Sources(
        embedding=total.embedding / count[:, :, None],
        heads=total.heads / count[None, :, :, None, None],
        attention=total.attention / count[None, :, :, None],
        mlp=total.mlp / count[None, :, :, None],
    )


_POSITION_AXES = Sources(embedding=1, heads=2, attention=2, mlp=2)  # type: ignore[arg-type]
