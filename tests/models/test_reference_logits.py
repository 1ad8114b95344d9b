"""Logits against those that Hugging Face transformers gave on the shared reference models (absolute, float32)."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.cache import KVCache, extend
from jaxeap.models.decoder import unembed
from jaxeap.models.load import load_model
from tests.models.conftest import ReferenceModel
from tests.models.padding import pad

TOLERANCE = 1e-4


def test_unpadded(reference: ReferenceModel):
    longest = max(range(len(reference.sequences)), key=lambda index: len(reference.sequences[index]))
    tokens, expected = reference.sequences[longest], reference.expected_logits[longest]
    logits = reference.model(tokens[None])
    chex.assert_shape(logits, (1, *expected.shape))
    chex.assert_type(logits, jnp.float32)
    np.testing.assert_allclose(logits[0], expected, rtol=0, atol=TOLERANCE)


def test_batch_that_transformers_padded(reference: ReferenceModel):
    logits = np.asarray(reference.model(reference.padded_inputs, reference.padded_mask))
    real = reference.padded_mask
    np.testing.assert_allclose(logits[real], reference.padded_logits[real], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_with_arbitrary_tokens(reference: ReferenceModel, side: str):
    tokens, mask = pad(reference.sequences, side, reference.model.config.vocab_size)
    logits = np.asarray(reference.model(tokens, mask))
    assert np.isfinite(logits).all()
    for row, expected in enumerate(reference.expected_logits):
        np.testing.assert_allclose(logits[row, mask[row]], expected, rtol=0, atol=TOLERANCE)


def test_prefill_and_steps_with_rows_at_different_positions(reference: ReferenceModel):
    weights, config = reference.model.weights, reference.model.config
    run = jax.jit(extend, static_argnums=1)
    lengths = np.array([len(sequence) for sequence in reference.sequences])
    tokens, _ = pad(reference.sequences, "right", config.vocab_size)
    prompts = np.minimum(3 + 2 * np.arange(len(lengths)), lengths)
    final, cache = run(
        weights,
        config,
        tokens[:, : max(prompts)],
        prompts.astype(np.int32),
        KVCache.empty(config, len(lengths), max(lengths), jnp.float32),
    )
    rows = np.arange(len(lengths))
    found = [[row] for row in np.asarray(unembed(weights, config, final))]
    found = [[part[:count] for part in parts] for parts, count in zip(found, prompts, strict=True)]
    position = prompts.copy()
    while (position < lengths).any():
        going = position < lengths
        step = tokens[rows, np.minimum(position, lengths - 1)][:, None]
        final, cache = run(weights, config, step, going.astype(np.int32), cache)
        logits = np.asarray(unembed(weights, config, final))
        for row in rows[going]:
            found[row].append(logits[row])
        position += going
        np.testing.assert_array_equal(cache.lengths, position)
    for parts, expected in zip(found, reference.expected_logits, strict=True):
        np.testing.assert_allclose(np.concatenate(parts), expected, rtol=0, atol=TOLERANCE)


def test_converted_config_of_transformers_5_gives_the_same_model(reference: ReferenceModel, tmp_path):
    for name in ("config.transformers5.json", "model.safetensors"):
        target = tmp_path / name.replace(".transformers5", "")
        target.symlink_to(reference.folder / name)
    assert load_model(tmp_path).config == reference.model.config
