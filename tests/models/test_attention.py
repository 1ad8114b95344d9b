"""Attention against a float64 loop over queries."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models import attention
from jaxeap.models.attention import attend
from tests.models.numpy_decoder import attend_one

BATCH, LENGTH, HEADS, KV_HEADS, WIDTH = 2, 11, 6, 2, 4


def random_inputs(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(BATCH, LENGTH, HEADS, WIDTH)) * 2
    key, value = (rng.normal(size=(BATCH, LENGTH, KV_HEADS, WIDTH)) for _ in range(2))
    return tuple(array.astype(np.float32) for array in (query, key, value))


def positions(starts: tuple[int, ...] = (0,) * BATCH) -> np.ndarray:
    return np.arange(LENGTH, dtype=np.int32) - np.array(starts, np.int32)[:, None]


@pytest.mark.parametrize("window", [None, 1, 4, LENGTH, LENGTH + 5])
def test_window_holds_exactly_that_many_positions(window: int | None):
    query, key, value = random_inputs()
    found = attend(
        *map(jnp.asarray, (query, key, value, positions(), positions(), np.ones((BATCH, LENGTH), bool))),
        None if window is None else jnp.int32(window),
        WIDTH**-0.5,
    )
    assert found.shape == query.shape
    for row in range(BATCH):
        for position in range(LENGTH):
            seen = slice(0 if window is None else max(0, position - window + 1), position + 1)
            for head in range(HEADS):
                kv_head = head * KV_HEADS // HEADS
                expected = attend_one(
                    query[row, position, head].astype(np.float64),
                    key[row, seen, kv_head].astype(np.float64),
                    value[row, seen, kv_head].astype(np.float64),
                )
                np.testing.assert_allclose(found[row, position, head], expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("window", [None, 3])
def test_padding_keys_are_not_seen_wherever_they_stand(window: int | None):
    """Row 0 is padded on the right, row 1 on the left; new values at padding must not move a real query's output."""
    starts, stops = (0, 4), (7, LENGTH)
    mask = np.zeros((BATCH, LENGTH), bool)
    for row in range(BATCH):
        mask[row, starts[row] : stops[row]] = True
    standing = np.maximum(positions(starts), 0)
    query, key, value = random_inputs()
    other_key, other_value = (np.where(mask[..., None, None], array, 7.5).astype(np.float32) for array in (key, value))
    run = jax.jit(attend, static_argnums=7)
    width = None if window is None else jnp.int32(window)
    found = np.asarray(run(query, key, value, standing, standing, mask, width, WIDTH**-0.5))
    moved = np.asarray(run(query, other_key, other_value, standing, standing, mask, width, WIDTH**-0.5))
    np.testing.assert_array_equal(found[mask], moved[mask])
    assert np.isfinite(moved).all()
    unmasked = np.asarray(
        run(query, other_key, other_value, standing, standing, np.ones_like(mask), width, WIDTH**-0.5)
    )
    assert np.abs(found[mask] - unmasked[mask]).max() > 0.1  # or the mask would not be what protects them


def test_query_heads_share_keys_in_consecutive_groups():
    """Moving key/value head 0 moves query heads 0, 1, 2 and no other: `repeat`, not `tile`."""
    query, key, value = random_inputs()
    moved_value = value.copy()
    moved_value[:, :, 0] += 1
    arguments = (positions(), positions(), np.ones((BATCH, LENGTH), bool), None, WIDTH**-0.5)
    change = np.abs(attend(query, key, moved_value, *arguments) - attend(query, key, value, *arguments))
    np.testing.assert_allclose(change[:, :, :3], 1, atol=1e-5)
    np.testing.assert_array_equal(change[:, :, 3:], 0)


@pytest.mark.parametrize("window", [None, 3])
def test_blocks_of_queries_give_the_same_result_and_gradients(window: int | None, monkeypatch: pytest.MonkeyPatch):
    """Blocks of 4 divide 11 queries into two full ones and a padded one."""
    mask = np.ones((BATCH, LENGTH), bool)
    mask[0, :2] = False
    standing = np.maximum(positions((2, 0)), 0)
    weight = np.random.default_rng(1).standard_normal((BATCH, LENGTH, HEADS, WIDTH)).astype(np.float32)

    def value_and_gradients(query_block: int):
        monkeypatch.setattr(attention, "QUERY_BLOCK", query_block)

        # A new function for each block size: a compiled one would not see the new value.
        def loss(query, key, value):
            width = None if window is None else jnp.int32(window)
            out = attend(query, key, value, standing, standing, mask, width, WIDTH**-0.5)
            return (jnp.sin(out) * weight).sum(), out

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(*random_inputs())

    (_, out), gradients = value_and_gradients(512)
    (_, blocked_out), blocked_gradients = value_and_gradients(4)
    np.testing.assert_allclose(blocked_out, out, rtol=0, atol=1e-6)
    for gradient, blocked in zip(gradients, blocked_gradients, strict=True):
        assert np.abs(gradient).max() > 0.1
        np.testing.assert_allclose(blocked, gradient, rtol=0, atol=2e-6 * np.abs(gradient).max())
