"""Which blocks of the cache are free, and blocks on their way to the host and back."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.parallel import hosts
from jaxeap.sampling.paged_cache import PagedCache

PIECE = 16
"""Blocks that are moved at once, so that moving any number of them is one program."""


class BlockPool:
    """The free ones of a cache's blocks."""

    def __init__(self, blocks: int):
        self._free = list(range(blocks))[::-1]

    @property
    def free(self) -> int:
        """How many there are."""
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """Blocks that are the caller's from now on; there must be as many."""
        return [self._free.pop() for _ in range(count)]

    def give_back(self, blocks: list[int]) -> None:
        """Makes blocks free."""
        self._free.extend(reversed(blocks))


def copy_out(cache: PagedCache, blocks: list[int]) -> list[PagedCache]:
    """The content of blocks, on the host."""
    return [hosts.to_hosts(_content(cache, ids)) for ids in _pieces(blocks, cache.blocks)]


def copy_in(cache: PagedCache, blocks: list[int], content: list[PagedCache]) -> PagedCache:
    """The cache, which is used up, with what `copy_out` gave in these blocks, bit for bit."""
    for ids, piece in zip(_pieces(blocks, cache.blocks), content, strict=True):
        cache = _with_content(cache, ids, piece)
    return cache


def _pieces(blocks: list[int], none: int) -> list[np.ndarray]:
    parts = [blocks[start : start + PIECE] for start in range(0, len(blocks), PIECE)]
    return [np.array(part + [none] * (PIECE - len(part)), np.int32) for part in parts]


@jax.jit
def _content(cache: PagedCache, ids: jax.Array) -> PagedCache:
    return jax.tree.map(lambda pool: jnp.take(pool, ids, axis=1, mode="clip"), cache)


@functools.partial(jax.jit, donate_argnums=0)
def _with_content(cache: PagedCache, ids: jax.Array, content: PagedCache) -> PagedCache:
    return jax.tree.map(lambda pool, new: pool.at[:, ids].set(new, mode="drop"), cache, content)
