"""Tokens and prompts in their blocks of the cache, blocks on the host, and the size of it all."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.config import ModelConfig
from jaxeap.sampling.block_pool import PIECE, BlockPool, copy_in, copy_out
from jaxeap.sampling.cache_form import ACCELERATOR, CPU, CPU_SMALL, CacheForm, cache_form
from jaxeap.sampling.paged_cache import PagedCache, cache_bytes, put_prompts, put_tokens
from tests.tiny_decoder import tiny_decoder

LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS = 2, 9, 2, 4, 4
TABLE = np.array([[7, 2, 5, 0], [1, 8, 0, 0], [3, 0, 0, 0]], np.int32)
rng = np.random.default_rng(0)
CACHE = PagedCache(
    jnp.asarray(rng.normal(size=(LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS)), jnp.float32),
    jnp.asarray(rng.normal(size=(LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS)), jnp.float32),
    CPU_SMALL,
)


@pytest.mark.parametrize("form", [CPU_SMALL, CPU, ACCELERATOR], ids=["sums", "keys by channel", "by slots"])
def test_tokens_and_prompts_come_to_their_slots_and_nowhere_else(form: CacheForm) -> None:
    def turned(pool: jax.Array, by_channel: bool) -> jax.Array:
        """Keys or values with the slots last as the form has them, and back."""
        return pool if by_channel else pool.swapaxes(3, 4)

    def by_channel(cache: PagedCache) -> tuple[jax.Array, jax.Array]:
        return turned(cache.key, form.keys_by_channel), turned(cache.value, form.values_by_channel)

    cache = PagedCache(turned(CACHE.key, form.keys_by_channel), turned(CACHE.value, form.values_by_channel), form)
    assert cache.slots == SLOTS
    key, value = rng.normal(size=(2, 3, GROUPS, WIDTH)).astype(np.float32)
    positions, live = np.array([10, 5, 2], np.int32), np.array([True, True, False])
    for table, places in [(TABLE, [(5, 2), (8, 1)]), (None, [(6, 2), (4, 1)])]:
        found = put_tokens(cache, jnp.int32(1), table, positions, live, (key, value))
        expected_key, expected_value = np.array(CACHE.key), np.array(CACHE.value)
        for row, (block, slot) in enumerate(places):
            expected_key[1, block, :, :, slot], expected_value[1, block, :, :, slot] = key[row], value[row]
        for pool, expected in zip(by_channel(found), (expected_key, expected_value), strict=True):
            np.testing.assert_array_equal(pool, expected)

    keys, values = rng.normal(size=(2, LAYERS, 2, 6, GROUPS, WIDTH)).astype(np.float32)
    found = put_prompts(cache, np.array([[4, 6], [0, BLOCKS]], np.int32), keys, values)
    expected_key, expected_value = np.array(CACHE.key), np.array(CACHE.value)
    for prompt, token, block, slot in [(p, t, [[4, 6], [0, None]][p][t // 4], t % 4) for p in (0, 1) for t in range(6)]:
        if block is not None:
            expected_key[:, block, :, :, slot] = keys[:, prompt, token]
            expected_value[:, block, :, :, slot] = values[:, prompt, token]
    expected_key[:, 6, :, :, 2:], expected_value[:, 6, :, :, 2:] = 0, 0
    for pool, expected in zip(by_channel(found), (expected_key, expected_value), strict=True):
        np.testing.assert_array_equal(pool, expected)


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


def test_few_and_narrow_heads_are_summed_on_a_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    small = tiny_decoder().config
    large = dataclasses.replace(small, num_heads=8, num_kv_heads=2, head_dim=64)
    assert (cache_form(small), cache_form(large)) == (CPU_SMALL, CPU)
    like = jnp.zeros(())
    summed, multiplied = (PagedCache.empty(config, 5, 8, like) for config in (small, large))
    assert summed.value.shape == summed.key.shape
    assert multiplied.value.shape == multiplied.key.swapaxes(3, 4).shape
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert cache_form(small) == cache_form(large) == ACCELERATOR
