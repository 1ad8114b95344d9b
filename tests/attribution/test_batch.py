"""Layout of batches, and the input that they refuse."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import numpy as np
import pytest

from jaxeap.attribution.batch import Batch
from tests.attribution.tiny import TinyModel

SEQUENCES = [[5, 6, 7, 8, 9], [1, 0, 3]]
COUNTED = [(2, 4), (1, 3)]


def test_layout_worked_by_hand():
    batch = Batch.from_sequences(SEQUENCES, COUNTED, corrupted=[[4, 4, 4, 4, 4], [2, 2]])
    # 9 stands after `stop`, 8 and 3 are only predicted: none is fed to the model.
    np.testing.assert_array_equal(batch.tokens, [[5, 6, 7], [1, 0, 0]])
    np.testing.assert_array_equal(batch.mask, [[True, True, True], [True, True, False]])
    np.testing.assert_array_equal(batch.targets, [[7, 8], [0, 3]])
    np.testing.assert_array_equal(batch.target_mask, [[True, True], [True, True]])
    np.testing.assert_array_equal(batch.first, [2, 1])
    np.testing.assert_array_equal(batch.corrupted, [[4, 4, 4], [2, 2, 0]])
    chex.assert_type([batch.tokens, batch.targets, batch.first, batch.corrupted], np.int32)
    chex.assert_type([batch.mask, batch.target_mask], bool)
    assert batch.size == 2


def test_targets_stand_one_position_after_the_token_that_predicts_them():
    batch = Batch.from_sequences(SEQUENCES, COUNTED)
    for row, sequence in enumerate(SEQUENCES):
        fed = batch.tokens[row][batch.mask[row]]
        for column, target in enumerate(batch.targets[row][batch.target_mask[row]]):
            position = batch.first[row] - 1 + column
            np.testing.assert_array_equal(sequence[: position + 1], fed[: position + 1])
            assert sequence[position + 1] == target


def test_length_and_width_pad_with_masked_entries_only():
    plain = Batch.from_sequences(SEQUENCES, COUNTED)
    padded = Batch.from_sequences(SEQUENCES, COUNTED, length=6, width=5)
    chex.assert_shape([padded.tokens, padded.mask], (2, 6))
    chex.assert_shape([padded.targets, padded.target_mask], (2, 5))
    assert not padded.mask[:, 3:].any() and not padded.target_mask[:, 2:].any()
    for name, columns in (("tokens", 3), ("mask", 3), ("targets", 2), ("target_mask", 2)):
        np.testing.assert_array_equal(getattr(padded, name)[:, :columns], getattr(plain, name))


def test_what_stands_after_stop_is_no_part_of_the_batch():
    longer = [[*SEQUENCES[0][:4], 30, 30, 30], [*SEQUENCES[1], 30]]
    chex.assert_trees_all_equal(Batch.from_sequences(longer, COUNTED), Batch.from_sequences(SEQUENCES, COUNTED))


def test_sequences_may_be_arrays():
    arrays = [np.array(sequence) for sequence in SEQUENCES]
    chex.assert_trees_all_equal(
        Batch.from_sequences(arrays, COUNTED, corrupted=arrays),
        Batch.from_sequences(SEQUENCES, COUNTED, corrupted=SEQUENCES),
    )


def test_a_batch_is_a_tree_of_its_arrays():
    with_corrupted = Batch.from_sequences(SEQUENCES, COUNTED, corrupted=SEQUENCES)
    doubled = jax.tree.map(lambda array: array * 2, with_corrupted)
    np.testing.assert_array_equal(doubled.corrupted, with_corrupted.corrupted * 2)
    assert len(jax.tree.leaves(with_corrupted)) == len(jax.tree.leaves(Batch.from_sequences(SEQUENCES, COUNTED))) + 1


@pytest.mark.parametrize(
    "sequences, counted, arguments, message",
    [
        ([], [], {}, "at least one sequence"),
        (SEQUENCES, COUNTED[:1], {}, "for the same examples"),
        (SEQUENCES, COUNTED, {"corrupted": SEQUENCES[:1]}, "for the same examples"),
        (SEQUENCES, [(2, 4), (0, 2)], {}, r"example 1: counted range \(0, 2\)"),
        (SEQUENCES, [(2, 2), (1, 3)], {}, r"example 0: counted range \(2, 2\)"),
        (SEQUENCES, [(3, 2), (1, 3)], {}, r"example 0: counted range \(3, 2\)"),
        (SEQUENCES, [(2, 6), (1, 3)], {}, r"example 0: counted range \(2, 6\) .* <= 5"),
        (SEQUENCES, [(2, 4), (-1, 3)], {}, r"example 1: counted range \(-1, 3\)"),
        (SEQUENCES, COUNTED, {"corrupted": [[1, 2], [1, 2]]}, "example 0: the corrupted input has 2 tokens, needs 3"),
        (SEQUENCES, COUNTED, {"length": 2}, "length 2 and width 2 must be at least 3 and 2"),
        (SEQUENCES, COUNTED, {"width": 1}, "length 3 and width 1 must be at least 3 and 2"),
    ],
)
def test_refused(sequences: Any, counted: Any, arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Batch.from_sequences(sequences, counted, **arguments)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda size: {"sequences": [[1, 2, 3], [1, size, 3]]}, r"example 1: tokens holds token 31 \(column 1\)"),
        (lambda size: {"sequences": [[1, 2, 3], [1, 2, size]]}, r"example 1: targets holds token 31 \(column 1\)"),
        (lambda size: {"sequences": [[1, -1, 3], [1, 2, 3]]}, r"example 0: tokens holds token -1 \(column 1\)"),
        (lambda size: {"corrupted": [[1, 2], [size + 1, 2]]}, r"example 1: corrupted holds token 32 \(column 0\)"),
    ],
)
def test_a_token_beyond_the_vocabulary_is_named(tiny: TinyModel, spoil: Callable[[int], dict[str, Any]], message: str):
    config = tiny.model.config
    spoilt = spoil(config.vocab_size)
    arguments: dict[str, Any] = {"sequences": [[1, 2, 3], [1, 2, 3]], "corrupted": [[1, 2], [1, 2]], **spoilt}
    batch = Batch.from_sequences(counted=[(1, 3), (1, 3)], **arguments)
    with pytest.raises(ValueError, match=f"{message}, the model's vocabulary has 31"):
        batch.check_vocabulary(config)


def test_the_last_token_of_the_vocabulary_and_token_0_are_accepted(tiny: TinyModel):
    last = tiny.model.config.vocab_size - 1
    Batch.from_sequences([[0, last, 0]], [(1, 3)], corrupted=[[last, 0]]).check_vocabulary(tiny.model.config)


def test_filling_repeats_the_last_example():
    batch = Batch.from_sequences([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [(1, 3), (2, 3), (1, 2)])
    assert batch.filled(3) is batch.filled(1) is batch
    filled = batch.filled(4)
    assert filled.size == 4 and filled.corrupted is None
    for name in ("tokens", "mask", "targets", "target_mask", "first"):
        given, found = getattr(batch, name), getattr(filled, name)
        np.testing.assert_array_equal(found, np.concatenate([given, given[-1:]]))
