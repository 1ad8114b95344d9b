"""Attention over blocks against softmax in float64, and that no row's bits depend on the others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxeap.models.config import ModelConfig
from jaxeap.sampling.block_pool import PIECE, BlockPool, copy_in, copy_out
from jaxeap.sampling.paged_cache import PagedCache, attend_blocks, cache_bytes, put_prompts, put_tokens
from tests.tiny_decoder import tiny_decoder

LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS, HEADS = 2, 9, 2, 4, 4, 6
TABLE = np.array([[7, 2, 5, 0], [1, 8, 0, 0], [3, 0, 0, 0]], np.int32)
LENGTHS = np.array([11, 6, 0], np.int32)
rng = np.random.default_rng(0)
CACHE = PagedCache(
    jnp.asarray(rng.normal(size=(LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS)), jnp.float32),
    jnp.asarray(rng.normal(size=(LAYERS, BLOCKS, GROUPS, SLOTS, WIDTH)), jnp.float32),
)
QUERY = rng.normal(size=(3, HEADS, WIDTH)).astype(np.float32)
attend = jax.jit(attend_blocks, static_argnames=("scale", "softcap"))


def by_hand(row: int, window: int | None, softcap: float | None) -> np.ndarray:
    """[H, K] float64."""
    slots = [(TABLE[row, s // SLOTS], s % SLOTS) for s in range(LENGTHS[row])][-window if window else 0 :]
    result = np.zeros((HEADS, WIDTH))
    for head in range(HEADS):
        group = head // (HEADS // GROUPS)
        key = np.array([np.asarray(CACHE.key, np.float64)[1, block, group, :, slot] for block, slot in slots])
        value = np.array([np.asarray(CACHE.value, np.float64)[1, block, group, slot] for block, slot in slots])
        products = 0.5 * key @ QUERY[row, head].astype(np.float64)
        if softcap:
            products = softcap * np.tanh(products / softcap)
        result[head] = scipy.special.softmax(products) @ value
    return result


@pytest.mark.parametrize(("window", "softcap"), [(None, None), (3, None), (5, 0.7), (100, 0.7)])
def test_attention_over_blocks(window: int | None, softcap: float | None) -> None:
    limit = None if window is None else jnp.int32(window)
    found = attend(QUERY, CACHE, jnp.int32(1), TABLE, LENGTHS, limit, scale=0.5, softcap=softcap)
    assert found.shape == QUERY.shape
    for row in range(2):
        np.testing.assert_allclose(found[row], by_hand(row, window, softcap), atol=1e-6)
    assert np.isfinite(found).all(), "a row that rests gets numbers too"


def test_no_bit_of_a_row_depends_on_how_long_the_others_are_or_where_its_blocks_lie() -> None:
    options = dict(scale=0.5, softcap=None)
    whole = attend(QUERY, CACHE, jnp.int32(1), TABLE, LENGTHS, jnp.int32(5), **options)
    alone = attend(QUERY, CACHE, jnp.int32(1), TABLE, np.array([0, 6, 0], np.int32), jnp.int32(5), **options)
    np.testing.assert_array_equal(whole[1], alone[1])
    order = rng.permutation(BLOCKS)
    moved = jax.tree.map(lambda pool: pool[:, np.argsort(order)], CACHE)
    np.testing.assert_array_equal(
        attend(QUERY, moved, jnp.int32(1), order[TABLE].astype(np.int32), LENGTHS, jnp.int32(5), **options)[:2],
        whole[:2],
    )


def test_tokens_and_prompts_come_to_their_slots_and_nowhere_else() -> None:
    key, value = rng.normal(size=(2, 3, GROUPS, WIDTH)).astype(np.float32)
    positions = np.array([10, 5, 2], np.int32)
    found = put_tokens(CACHE, jnp.int32(1), TABLE, positions, np.array([True, True, False]), (key, value))
    expected_key, expected_value = np.array(CACHE.key), np.array(CACHE.value)
    for row, (block, slot) in enumerate([(5, 2), (8, 1)]):
        expected_key[1, block, :, :, slot], expected_value[1, block, :, slot] = key[row], value[row]
    np.testing.assert_array_equal(found.key, expected_key)
    np.testing.assert_array_equal(found.value, expected_value)

    keys, values = rng.normal(size=(2, LAYERS, 2, 6, GROUPS, WIDTH)).astype(np.float32)
    found = put_prompts(CACHE, np.array([[4, 6], [0, BLOCKS]], np.int32), keys, values)
    expected_key, expected_value = np.array(CACHE.key), np.array(CACHE.value)
    for prompt, token, block, slot in [(p, t, [[4, 6], [0, None]][p][t // 4], t % 4) for p in (0, 1) for t in range(6)]:
        if block is not None:
            expected_key[:, block, :, :, slot] = keys[:, prompt, token]
            expected_value[:, block, :, slot] = values[:, prompt, token]
    expected_key[:, 6, :, :, 2:], expected_value[:, 6, :, 2:] = 0, 0
    np.testing.assert_array_equal(found.key, expected_key)
    np.testing.assert_array_equal(found.value, expected_value)


def test_blocks_come_back_from_the_host_to_the_bit() -> None:
    """More blocks than are moved at once, to other places."""
    pool = BlockPool(2 * PIECE + 9)
    first, second = pool.take(PIECE + 3), pool.take(PIECE + 3)
    assert pool.free == 3 and not set(first) & set(second)
    many = jax.tree.map(lambda part: jnp.concatenate([part] * 5, axis=1)[:, : 2 * PIECE + 9], CACHE)
    before = jax.device_get(many)
    after = copy_in(many, second, copy_out(many, first))
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(new[:, second], old[:, first])
        untouched = [block for block in range(2 * PIECE + 9) if block not in second]
        np.testing.assert_array_equal(new[:, untouched], old[:, untouched])
    pool.give_back(first)
    assert pool.free == PIECE + 6


def test_cache_bytes_are_those_of_the_arrays() -> None:
    model = tiny_decoder()
    config: ModelConfig = model.config
    cache = PagedCache.empty(config, 5, 8, model.weights["embedding"])
    assert cache_bytes(config, 40, 4) == cache.key.nbytes + cache.value.nbytes
    assert (cache.blocks, cache.slots, cache.key.dtype) == (5, 8, jnp.float32)
