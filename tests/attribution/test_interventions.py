"""Each ablation against NumPy on captured sources; DESIGN's errors of mean ablation are tests here."""

import dataclasses
from collections.abc import Sequence
from typing import get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution.attribute import mean_sources
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import SourceKind
from jaxeap.attribution.interventions import Deltas, ablated_sources, check_ablation
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import Trace
from jaxeap.models.parameters import Weights
from tests.attribution.tiny import COUNTED, TinyModel, ragged_batch, ragged_sequences

TOLERANCE = 1e-5
"""Between two float32 passes of different shapes; each is within 5e-6 of float64 (test_trace)."""


@pytest.fixture(scope="module")
def clean(trace: Trace) -> Sources:
    return Sources.of(trace.captures)


def ablated(tiny: TinyModel, batch: Batch, clean: Sources, ablation: str, reference=None, seed: int = 0) -> Sources:
    return ablated_sources(tiny.model.weights, tiny.model.config, batch, clean, ablation, reference, seed)


def rows_first(sources: Sources) -> list[np.ndarray]:
    """[B, T, ...] for each array: the layers behind."""
    return [
        np.asarray(sources.embedding),
        np.moveaxis(np.asarray(sources.heads), 0, 3),
        np.moveaxis(np.asarray(sources.attention), 0, 2),
        np.moveaxis(np.asarray(sources.mlp), 0, 2),
    ]


def outputs_of(each: Sources | Deltas, weights: Weights, tiny: TinyModel, batch: Batch) -> jax.Array:
    """[B, S, T, D] at head level, as the contraction sees them: the sources kind by kind."""
    examples = [each.example(jnp.asarray(index)) for index in range(batch.size)]
    by_kind = [example.by_kind(weights, tiny.model.config, "head") for example in examples]
    return jnp.stack([jnp.concatenate([kinds[kind] for kind in get_args(SourceKind)]) for kinds in by_kind])


def test_zero(tiny: TinyModel, batch: Batch, clean: Sources):
    nothing = ablated(tiny, batch, clean, "zero")
    chex.assert_trees_all_equal_shapes_and_dtypes(nothing, clean)
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(nothing))
    delta = outputs_of(Deltas.of(clean, nothing, "zero"), tiny.model.weights, tiny, batch)
    np.testing.assert_array_equal(delta, -outputs_of(clean, tiny.model.weights, tiny, batch))


def test_deltas_of_near_bfloat16_values_keep_their_digits(tiny: TinyModel, batch: Batch, clean: Sources):
    low, weights = (jax.tree.map(lambda a: a.astype(jnp.bfloat16), tree) for tree in (clean, tiny.model.weights))
    near = jax.tree.map(lambda a: a * jnp.asarray(1.0078125, a.dtype), low)
    found = outputs_of(Deltas.of(low, near, "corrupted"), weights, tiny, batch)
    exact = [
        np.asarray(outputs_of(tree, jax.tree.map(np.float32, weights), tiny, batch), np.float64)
        for tree in (jax.tree.map(np.float32, near), jax.tree.map(np.float32, low))
    ]
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact[0] - exact[1], atol=2e-6 * np.abs(exact[0]).max())


def test_corrupted_is_the_second_input_run_alone(tiny: TinyModel, batch: Batch, clean: Sources):
    found = ablated(tiny, batch, clean, "corrupted")
    alone = ragged_sequences(tiny.model.config.vocab_size, seed=4)
    for row, (sequence, (_, stop)) in enumerate(zip(alone, COUNTED, strict=True)):
        single = Batch.from_sequences([sequence], [(1, stop)], length=batch.tokens.shape[1])
        own = mean_sources(tiny.model, single, "each_position")  # of a single example: its sources
        for whole, part in zip(rows_first(found), rows_first(own), strict=True):
            np.testing.assert_allclose(whole[row, : stop - 1], part[0, : stop - 1], rtol=0, atol=TOLERANCE)


def loop_mean(arrays: Sequence[np.ndarray], masks: Sequence[np.ndarray], each_position: bool) -> np.ndarray:
    """Mean over batches of [B, T, ...], real positions only: [1, 1 or T, ...], token by token in float64."""
    longest = max(mask.shape[1] for mask in masks)
    means = []
    for position in range(longest) if each_position else [None]:
        real = [
            np.asarray(array[row, at], np.float64)
            for array, mask in zip(arrays, masks, strict=True)
            for row, at in np.argwhere(mask)
            if position in (None, at)
        ]
        means.append(np.mean(real, axis=0))
    return np.stack(means)[None]


@pytest.mark.parametrize("over", ["real_positions", "each_position"])
def test_mean_over_a_ragged_reference(tiny: TinyModel, batch: Batch, clean: Sources, over: str):
    reference = mean_sources(tiny.model, batch, over)
    for found, outputs in zip(rows_first(reference), rows_first(clean), strict=True):
        expected = loop_mean([outputs], [batch.mask], over == "each_position")
        assert found.shape == expected.shape and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("over", ["real_positions", "each_position"])
def test_several_reference_batches_equal_one(tiny: TinyModel, batch: Batch, over: str):
    sequences = ragged_sequences(tiny.model.config.vocab_size)
    parts = [Batch.from_sequences(sequences[rows], COUNTED[rows]) for rows in (slice(0, 3), slice(3, 4))]
    assert parts[0].tokens.shape[1] > parts[1].tokens.shape[1]
    together = mean_sources(tiny.model, batch, over)
    chex.assert_trees_all_close(mean_sources(tiny.model, iter(parts), over), together, atol=TOLERANCE)


@pytest.mark.parametrize("over", ["real_positions", "each_position"])
def test_padding_takes_no_part_in_the_mean(tiny: TinyModel, batch: Batch, over: str):
    other_ids = np.where(batch.mask, batch.tokens, 7)
    padded_otherwise = dataclasses.replace(batch, tokens=other_ids.astype(np.int32))
    chex.assert_trees_all_equal(mean_sources(tiny.model, padded_otherwise, over), mean_sources(tiny.model, batch, over))


def test_mean_is_put_in_for_every_example(tiny: TinyModel, batch: Batch, clean: Sources):
    for over in ("real_positions", "each_position"):
        reference = mean_sources(tiny.model, batch, over)
        found = ablated(tiny, batch, clean, "mean", reference)
        chex.assert_trees_all_equal_shapes_and_dtypes(found, clean)
        for whole, mean in zip(rows_first(found), rows_first(reference), strict=True):
            np.testing.assert_array_equal(whole, np.broadcast_to(mean, whole.shape))


def test_a_longer_reference_is_cut_to_the_batch(tiny: TinyModel, batch: Batch, clean: Sources):
    reference = mean_sources(tiny.model, batch, "each_position")
    cut = Batch.from_sequences(ragged_sequences(tiny.model.config.vocab_size)[1:2], COUNTED[1:2])
    length = cut.tokens.shape[1]
    in_layers = (outputs[:, 1:2, :length] for outputs in (clean.heads, clean.attention, clean.mlp))
    outputs = Sources(clean.embedding[1:2, :length], *in_layers)
    for whole, mean in zip(
        rows_first(ablated(tiny, cut, outputs, "mean", reference)), rows_first(reference), strict=True
    ):
        np.testing.assert_array_equal(whole, mean[:, :length])


def test_a_reference_with_too_few_positions_is_refused(tiny: TinyModel, batch: Batch, clean: Sources):
    short = Batch.from_sequences(ragged_sequences(tiny.model.config.vocab_size)[1:2], COUNTED[1:2])
    reference = mean_sources(tiny.model, short, "each_position")
    with pytest.raises(ValueError, match="per-position mean covers 3 positions, the batch has 11"):
        check_ablation("mean", batch, reference)


def test_padding_of_the_reference_covers_nothing(tiny: TinyModel, batch: Batch):
    padded = Batch.from_sequences(ragged_sequences(tiny.model.config.vocab_size)[1:2], COUNTED[1:2], length=11)
    reference = mean_sources(tiny.model, padded, "each_position")
    assert reference.embedding.shape[1] == 3
    with pytest.raises(ValueError, match="per-position mean covers 3 positions, the batch has 11"):
        check_ablation("mean", batch, reference)
    check_ablation("mean", padded, reference)  # whose own padding needs no mean


def test_a_mean_for_each_of_one_position_is_refused(tiny: TinyModel):
    single = Batch.from_sequences([[1, 2]], [(1, 2)], length=4)
    with pytest.raises(ValueError, match="one position each"):
        mean_sources(tiny.model, single, "each_position")


def stand_ins(found: Sources, clean: Sources, batch: Batch) -> list[int]:
    """Which example each row of a resampled batch was taken from, by its embeddings."""
    return [
        next(
            other
            for other in range(batch.size)
            if np.array_equal(row[: batch.mask[other].sum()], clean.embedding[other, : batch.mask[other].sum()])
        )
        for row in np.asarray(found.embedding)
    ]


def test_resampling_puts_every_example_in_for_exactly_one_other(tiny: TinyModel, batch: Batch, clean: Sources):
    seen = set()
    for seed in range(12):
        found = ablated(tiny, batch, clean, "resample", seed=seed)
        others = stand_ins(found, clean, batch)
        assert sorted(others) == list(range(batch.size))
        assert all(row != other for row, other in enumerate(others))
        seen.add(tuple(others))
        for whole, outputs in zip(rows_first(found), rows_first(clean), strict=True):
            for row, other in enumerate(others):
                last = batch.mask[other].sum() - 1
                for position in range(batch.tokens.shape[1]):
                    np.testing.assert_array_equal(whole[row, position], outputs[other, min(position, last)])
    assert len(seen) > 1


def test_resampling_is_repeatable(tiny: TinyModel, batch: Batch, clean: Sources):
    first, second = (ablated(tiny, batch, clean, "resample", seed=5) for _ in range(2))
    chex.assert_trees_all_equal(first, second)


def test_each_ablation_is_refused_without_what_it_needs(tiny: TinyModel, batch: Batch):
    reference = mean_sources(tiny.model, batch)
    bare = dataclasses.replace(batch, corrupted=None)
    one = Batch.from_sequences([[1, 2, 3]], [(1, 3)])
    for ablation, of, given, message in [
        ("noise", batch, None, "ablation 'noise' is unknown; use one of zero, corrupted, mean, resample"),
        ("corrupted", bare, None, r"corrupted=\.\.\."),
        ("mean", batch, None, r"reference=jaxeap\.mean_sources"),
        ("zero", batch, reference, "no other ablation takes one"),
        ("corrupted", batch, reference, "no other ablation takes one"),
        ("resample", one, None, "there is only one"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_ablation(ablation, of, given)
    check_ablation("mean", batch, reference)
    check_ablation("corrupted", batch, None)


def test_mean_sources_refuses(tiny: TinyModel, batch: Batch):
    with pytest.raises(ValueError, match="over='last' is unknown"):
        mean_sources(tiny.model, batch, "last")
    with pytest.raises(ValueError, match="reference set for mean ablation is empty"):
        mean_sources(tiny.model, [])
    foreign = ragged_batch(tiny.model.config.vocab_size + 40)
    with pytest.raises(ValueError, match="vocabulary has 31"):
        mean_sources(tiny.model, [batch, foreign])
