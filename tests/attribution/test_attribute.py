"""The public call: what it gives back and refuses, what its scores must not depend on, and how often it compiles."""

import dataclasses
import logging
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.result import AttributionResult
from jaxeap.models.model import Decoder
from tests.attribution.closeness import assert_scores_close, score_error
from tests.attribution.tiny import COUNTED, TinyModel, ragged_batch, ragged_sequences

ROUNDING = 1e-5
"""Share of an example's largest score by which two float32 results may differ; each is up to 4e-6 from float64."""


@pytest.fixture(scope="module")
def head_result(tiny: TinyModel, batch: Batch) -> AttributionResult:
    return jaxeap.attribute(tiny.model, batch, level="head")


def head_scores(tiny: TinyModel, batch: Batch, **arguments: Any) -> jax.Array:
    return jaxeap.attribute(tiny.model, batch, level="head", **arguments).scores


def compilations(caplog: pytest.LogCaptureFixture, *calls: Any) -> int:
    """How many programs JAX compiled during the calls, by its own log."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        for call in calls:
            jax.block_until_ready(call())
    return sum(record.getMessage().startswith("Compiling ") for record in caplog.records)


def test_result(tiny: TinyModel, batch: Batch, head_result: AttributionResult):
    graph = jaxeap.EdgeGraph.for_config(tiny.model.config, "head")
    chex.assert_shape(head_result.scores, (batch.size, len(graph.sources), len(graph.destinations)))
    chex.assert_shape(head_result.loss, (batch.size,))
    chex.assert_type([head_result.scores, head_result.loss], jnp.float32)
    chex.assert_tree_all_finite([head_result.scores, head_result.loss])
    assert head_result.graph.sources == graph.sources and head_result.graph.destinations == graph.destinations
    assert not np.asarray(head_result.scores)[:, ~graph.mask].any()
    assert (head_result.method, head_result.ablation) == ("eap", "zero")


def test_alone_or_in_company(tiny: TinyModel, batch: Batch, head_result: AttributionResult):
    sequences, (length, width) = ragged_sequences(31), (batch.tokens.shape[1], batch.targets.shape[1])
    for row in range(batch.size):
        rows = slice(row, row + 1)
        single = Batch.from_sequences(sequences[rows], COUNTED[rows], length=length, width=width)
        alone = jaxeap.attribute(tiny.model, single, level="head")
        assert_scores_close(alone.scores, head_result.scores[rows], ROUNDING)
        np.testing.assert_allclose(alone.loss, head_result.loss[rows], rtol=1e-6)


def test_unpadded_alone(tiny: TinyModel, head_result: AttributionResult):
    single = Batch.from_sequences(ragged_sequences(31)[:1], COUNTED[:1])
    assert single.mask.all() and single.target_mask.all()
    assert_scores_close(head_scores(tiny, single), head_result.scores[:1], ROUNDING)


def test_at_another_row_among_others(tiny: TinyModel, batch: Batch, head_result: AttributionResult):
    others = ragged_sequences(31, seed=9)
    sequences = ragged_sequences(31)
    mixed = Batch.from_sequences(
        [sequences[2], others[0], others[2], sequences[0]], [COUNTED[2], COUNTED[0], COUNTED[2], COUNTED[0]]
    )
    assert mixed.tokens.shape == batch.tokens.shape
    scores = np.asarray(head_scores(tiny, mixed))
    assert_scores_close(scores[[0, 3]], head_result.scores[jnp.array([2, 0])], ROUNDING)
    assert score_error(scores[[1]], head_result.scores[:1]) > 0.01  # another text scores otherwise


def test_padded_further(tiny: TinyModel, head_result: AttributionResult):
    padded = jaxeap.attribute(tiny.model, ragged_batch(31, length=17, width=9), level="head")
    assert_scores_close(padded.scores, head_result.scores, ROUNDING)
    np.testing.assert_allclose(padded.loss, head_result.loss, rtol=1e-6)


def test_chunked_otherwise(
    tiny: TinyModel, batch: Batch, head_result: AttributionResult, caplog: pytest.LogCaptureFixture
):
    length, graph = batch.tokens.shape[1], head_result.graph
    assert length % 3
    in_threes = head_scores(tiny, batch, chunk=3)
    assert_scores_close(in_threes, head_result.scores, ROUNDING)
    # A budget of the bytes of three positions of an example is the same program, so no other chunk was chosen.
    position = 4 * (len(graph.sources) + len(graph.destinations)) * tiny.model.config.embed_dim
    by_budget: list[jax.Array] = []
    call = [lambda: by_budget.append(head_scores(tiny, batch, chunk_bytes=3 * position))]
    assert compilations(caplog, *call) == 0
    np.testing.assert_array_equal(by_budget[0], in_threes)


def test_ids_in_the_padding_change_no_bit(tiny: TinyModel, batch: Batch, head_result: AttributionResult):
    rng = np.random.default_rng(1)

    def scrambled(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.where(mask, ids, rng.integers(0, 31, ids.shape)).astype(np.int32)

    otherwise = dataclasses.replace(
        batch,
        tokens=scrambled(batch.tokens, batch.mask),
        targets=scrambled(batch.targets, batch.target_mask),
        corrupted=scrambled(batch.corrupted, batch.mask),
    )
    assert (otherwise.tokens != batch.tokens).any() and (otherwise.targets != batch.targets).any()
    found = jaxeap.attribute(tiny.model, otherwise, level="head")
    np.testing.assert_array_equal(found.scores, head_result.scores)
    np.testing.assert_array_equal(found.loss, head_result.loss)
    first, second = (head_scores(tiny, each, ablation="corrupted") for each in (batch, otherwise))
    np.testing.assert_array_equal(first, second)


def test_what_stands_after_stop_changes_no_bit(tiny: TinyModel, batch: Batch, head_result: AttributionResult):
    sequences = ragged_sequences(31)
    with_tails = [[*sequence[:stop], 13, 5, 13] for sequence, (_, stop) in zip(sequences, COUNTED, strict=True)]
    tails = Batch.from_sequences(with_tails, COUNTED, corrupted=ragged_sequences(31, seed=4))
    np.testing.assert_array_equal(head_scores(tiny, tails), head_result.scores)


def test_a_real_token_with_the_id_of_the_padding_counts(tiny: TinyModel, head_result: AttributionResult):
    sequences = ragged_sequences(31)
    assert sequences[1][1] == sequences[1][2] == 0
    # As an input (position 1) and as a target (position 2), each by itself.
    for position in (1, 2):
        changed = [list(sequence) for sequence in sequences]
        changed[1][position] = 17
        other = jaxeap.attribute(
            tiny.model,
            Batch.from_sequences(changed, COUNTED, corrupted=ragged_sequences(31, seed=4)),
            level="head",
        )
        assert abs(float(other.loss[1] - head_result.loss[1])) > 1e-2
        assert score_error(other.scores[1:2], head_result.scores[1:2]) > 1e-2
        np.testing.assert_array_equal(other.loss[2:], head_result.loss[2:])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"method": "magic"}, "method 'magic' is unknown; use one of eap"),
        ({"level": "neuron"}, "level 'neuron' is unknown; use 'block' or 'head'"),
        ({"ablation": "noise"}, "ablation 'noise' is unknown; use one of zero, corrupted, mean, resample"),
        ({"ablation": "mean"}, "needs reference=jaxeap.mean_sources"),
        ({"magic": 5}, "method 'eap' has no option magic"),
        ({"chunk": 0}, "chunk must be at least 1 position, got 0"),
    ],
)
def test_refused(tiny: TinyModel, batch: Batch, arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        jaxeap.attribute(tiny.model, batch, **arguments)


def test_corrupted_inputs_must_be_there(tiny: TinyModel, batch: Batch):
    with pytest.raises(ValueError, match=r"needs Batch\.from_sequences"):
        jaxeap.attribute(tiny.model, dataclasses.replace(batch, corrupted=None), ablation="corrupted")


def test_tokens_of_another_vocabulary_are_refused(tiny: TinyModel):
    foreign = Batch.from_sequences([[1, 2, 3], [1, 31, 3]], [(1, 3), (1, 3)])
    with pytest.raises(ValueError, match="example 1: tokens holds token 31"):
        jaxeap.attribute(tiny.model, foreign)


def test_batches_of_one_shape_compile_once(tiny: TinyModel, caplog: pytest.LogCaptureFixture):
    # A shape that no other test uses, so that the first call must compile.
    first, other = ragged_batch(31, length=13), ragged_sequences(31, seed=8)
    second = Batch.from_sequences(other, [(2, 6), (2, 5), (9, 12), (1, 3)], corrupted=other, length=13, width=4)
    calls = [lambda batch=batch: jaxeap.attribute(tiny.model, batch).scores for batch in (first, second)]
    assert compilations(caplog, calls[0]) >= 1
    assert compilations(caplog, calls[1], calls[0]) == 0


def test_another_seed_compiles_nothing(tiny: TinyModel, batch: Batch, caplog: pytest.LogCaptureFixture):
    drawn = [lambda seed=seed: jaxeap.attribute(tiny.model, batch, ablation="resample", seed=seed) for seed in (0, 1)]
    drawn[0]()
    assert compilations(caplog, drawn[1], drawn[0]) == 0


def test_bfloat16_weights(tiny: TinyModel, batch: Batch):
    narrow = Decoder(tiny.model.config, jax.tree.map(lambda a: a.astype(jnp.bfloat16), tiny.model.weights))
    # The same rounded weights in float32, so that what differs is the arithmetic and not the model.
    wide = Decoder(tiny.model.config, jax.tree.map(lambda a: a.astype(jnp.float32), narrow.weights))
    found, exact = (jaxeap.attribute(model, batch, level="head") for model in (narrow, wide))
    assert found.scores.dtype == jnp.float32 and found.loss.dtype == jnp.float32
    chex.assert_tree_all_finite([found.scores, found.loss])
    # Measured on this model: correlation 0.9983 or more, losses within 1.2 %. A bfloat16 number has 8 significant bits.
    np.testing.assert_allclose(found.loss, exact.loss, rtol=2e-2)
    mask = exact.graph.mask
    for row in range(batch.size):
        pair = np.asarray(found.scores[row])[mask], np.asarray(exact.scores[row])[mask]
        assert np.corrcoef(*pair)[0, 1] > 0.995
