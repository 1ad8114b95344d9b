"""Tokens and prompts in their blocks of the cache, blocks on the host, and the size of it all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.config import ModelConfig
from jaxeap.sampling import cache_form
from jaxeap.sampling.block_pool import PIECE, BlockPool, copy_in, copy_out
from jaxeap.sampling.cache_form import ACCELERATOR, FORMS
from jaxeap.sampling.paged_cache import PagedCache, cache_bytes, put_prompts, put_tokens
from tests.tiny_decoder import tiny_decoder

LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS = 2, 9, 2, 4, 4
TABLE = np.array([[7, 2, 5, 0], [1, 8, 0, 0], [3, 0, 0, 0]], np.int32)
rng = np.random.default_rng(0)
CACHE = PagedCache(
    jnp.asarray(rng.normal(size=(LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS)), jnp.float32),
    jnp.asarray(rng.normal(size=(LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS)), jnp.float32),
)


@pytest.mark.parametrize("form", [FORMS["cpu"], ACCELERATOR], ids=["cpu", "accelerator"])
def test_tokens_and_prompts_come_to_their_slots_and_nowhere_else(form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_form, "FORMS", {"cpu": form})

    def turned(value: jax.Array) -> jax.Array:
        """Values with the slots last as the form has them, and back."""
        return value if form.values_slots_last else value.swapaxes(3, 4)

    cache = PagedCache(CACHE.key, turned(CACHE.value))
    key, value = rng.normal(size=(2, 3, GROUPS, WIDTH)).astype(np.float32)
    positions, live = np.array([10, 5, 2], np.int32), np.array([True, True, False])
    for table, places in [(TABLE, [(5, 2), (8, 1)]), (None, [(6, 2), (4, 1)])]:
        found = put_tokens(cache, jnp.int32(1), table, positions, live, (key, value))
        expected_key, expected_value = np.array(CACHE.key), np.array(CACHE.value)
        for row, (block, slot) in enumerate(places):
            expected_key[1, block, :, :, slot], expected_value[1, block, :, :, slot] = key[row], value[row]
        np.testing.assert_array_equal(found.key, expected_key)
        np.testing.assert_array_equal(turned(found.value), expected_value)

    keys, values = rng.normal(size=(2, LAYERS, 2, 6, GROUPS, WIDTH)).astype(np.float32)
    found = put_prompts(cache, np.array([[4, 6], [0, BLOCKS]], np.int32), keys, values)
    expected_key, expected_value = np.array(CACHE.key), np.array(CACHE.value)
    for prompt, token, block, slot in [(p, t, [[4, 6], [0, None]][p][t // 4], t % 4) for p in (0, 1) for t in range(6)]:
        if block is not None:
            expected_key[:, block, :, :, slot] = keys[:, prompt, token]
            expected_value[:, block, :, :, slot] = values[:, prompt, token]
    expected_key[:, 6, :, :, 2:], expected_value[:, 6, :, :, 2:] = 0, 0
    np.testing.assert_array_equal(found.key, expected_key)
    np.testing.assert_array_equal(turned(found.value), expected_value)


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
