"""Attention over blocks against softmax in float64, in both forms, and that no row's bits depend on the others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxeap.sampling.block_attention import attend_blocks
from jaxeap.sampling.cache_form import ACCELERATOR, CPU, CPU_SMALL, CacheForm
from jaxeap.sampling.paged_cache import PagedCache

LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS, HEADS = 2, 9, 2, 4, 4, 6
TABLE = np.array([[7, 2, 5, 0], [1, 8, 0, 0], [3, 0, 0, 0]], np.int32)
LENGTHS = np.array([11, 6, 0], np.int32)
IN_PLACE = np.arange(BLOCKS)
rng = np.random.default_rng(0)
KEYS = rng.normal(size=(LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS)).astype(np.float32)
VALUES = rng.normal(size=(LAYERS, BLOCKS, GROUPS, WIDTH, SLOTS)).astype(np.float32)
QUERY = rng.normal(size=(3, HEADS, WIDTH)).astype(np.float32)
RESERVED = np.array([[0, 3, 6], [1, 4, 7], [2, 5, 8]], np.int32)
"""The blocks of three rows that have their own, as a table."""


forms = pytest.mark.parametrize(
    "form",
    [CPU_SMALL, *(form._replace(slots_at_once=2 * SLOTS) for form in (CPU, ACCELERATOR))],
    ids=["sums", "keys by channel", "by slots"],
)
attending = jax.jit(attend_blocks, static_argnames=("scale", "softcap"))


def cache(form: CacheForm, keys=KEYS, values=VALUES) -> PagedCache:
    by_channel = (keys, form.keys_by_channel), (values, form.values_by_channel)
    return PagedCache(*(jnp.asarray(pool if as_is else pool.swapaxes(3, 4)) for pool, as_is in by_channel), form)


def attend(form: CacheForm, table=TABLE, lengths=LENGTHS, window=None, softcap=None, order=IN_PLACE, keys=KEYS):
    """Of the second layer, with block n of the pool in place order[n]."""
    pool = cache(form, *(part[:, np.argsort(order)] for part in (keys, VALUES)))
    window = None if window is None else jnp.int32(window)
    return attending(QUERY, pool, jnp.int32(1), table, lengths, window, scale=0.5, softcap=softcap)


def by_hand(row: int, window: int | None, softcap: float | None, table=TABLE) -> np.ndarray:
    """[H, K] float64."""
    slots = [(table[row, s // SLOTS], s % SLOTS) for s in range(LENGTHS[row])][-window if window else 0 :]
    result = np.zeros((HEADS, WIDTH))
    for head in range(HEADS):
        group = head // (HEADS // GROUPS)
        key, value = (
            np.array([part.astype(np.float64)[1, block, group, :, slot] for block, slot in slots])
            for part in (KEYS, VALUES)
        )
        products = 0.5 * key @ QUERY[row, head].astype(np.float64)
        if softcap:
            products = softcap * np.tanh(products / softcap)
        result[head] = scipy.special.softmax(products) @ value
    return result


@forms
@pytest.mark.parametrize(("window", "softcap"), [(None, None), (3, None), (5, 0.7), (100, 0.7)])
def test_attention_over_blocks(form: CacheForm, window: int | None, softcap: float | None) -> None:
    found = attend(form, window=window, softcap=softcap)
    assert found.shape == QUERY.shape
    for row in range(2):
        np.testing.assert_allclose(found[row], by_hand(row, window, softcap), atol=1e-6)
    assert np.isfinite(found).all(), "a row that rests gets numbers too"


@forms
@pytest.mark.parametrize("window", [None, 5])
def test_rows_with_blocks_of_their_own_need_no_table(form: CacheForm, window: int | None) -> None:
    found = attend(form, table=None, window=window)
    for row in range(2):
        np.testing.assert_allclose(found[row], by_hand(row, window, None, RESERVED), atol=1e-6)
    assert np.isfinite(found).all()


@forms
def test_no_bit_of_a_row_depends_on_how_long_the_others_are_or_where_its_blocks_lie(form: CacheForm) -> None:
    whole = attend(form, window=5)
    alone = attend(form, window=5, lengths=np.array([0, 6, 0], np.int32))
    np.testing.assert_array_equal(whole[1], alone[1])
    order = rng.permutation(BLOCKS)
    moved = attend(form, table=order[TABLE].astype(np.int32), window=5, order=order)
    np.testing.assert_array_equal(moved[:2], whole[:2])
    own = attend(form, table=None, window=5)
    np.testing.assert_array_equal(attend(form, table=None, window=5, lengths=np.array([0, 6, 0], np.int32))[1], own[1])


def test_half_precision_is_summed_in_float32() -> None:
    half = [jnp.asarray(part, jnp.bfloat16) for part in (QUERY, KEYS, VALUES)]
    whole = [part.astype(jnp.float32) for part in half]
    found, expected = (
        attending(query, cache(CPU_SMALL, *pool), jnp.int32(1), None, LENGTHS, None, scale=0.5, softcap=None)
        for query, *pool in (half, whole)
    )
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, expected.astype(jnp.bfloat16))


@forms
def test_a_damaged_number_is_not_lost(form: CacheForm) -> None:
    keys = KEYS.copy()
    keys[1, RESERVED[0, 1], 1, 0, 2] = np.nan
    found = np.isnan(attend(form, table=None, keys=keys)).any(axis=-1)
    np.testing.assert_array_equal(found, [[False] * 3 + [True] * 3, [False] * 6, [False] * 6])
