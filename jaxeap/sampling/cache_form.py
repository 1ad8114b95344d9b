"""How the cache lies and how attention reads it: the one place where a CPU and an accelerator differ."""

from __future__ import annotations

from typing import NamedTuple

import jax


class CacheForm(NamedTuple):
    """What is fast on a kind of device.

    Attributes:
      slots_at_once: attention visits a row's blocks in chunks of so many slots, or block by block where blocks are as
        large. Small chunks waste less work on slots that are not filled yet.
      values_slots_last: whether values lie as keys do, [K, Z], and not [Z, K].
      summed_up_to: products of up to so many numbers a slot (query heads of a key head times K) are written as sums of
        products, which the compiler reads from the cache where it lies, and not as matrix products.
    """

    slots_at_once: int
    values_slots_last: bool
    summed_up_to: int


ACCELERATOR = CacheForm(slots_at_once=512, values_slots_last=False, summed_up_to=0)
"""Few and large matrix products. With the slots last, a TPU would pad small blocks of values to its 128 lanes."""

FORMS = {"cpu": CacheForm(slots_at_once=1, values_slots_last=True, summed_up_to=128)}
"""XLA runs a batch of matrix products on a CPU one by one, each from a copy of what was sliced or gathered and at some
0.3 us of its own: a row's 2 x 16 x 64 products take a tenth of that. Sums over a short axis before a last one of slots
are a loop of vector instructions instead. Measured, both products of 32 rows, 2 x 2 heads of width 16: a fourth to a
third of the time; 16 rows, 2 x 7 heads of width 64: 1.5 times."""


def cache_form() -> CacheForm:
    """That of the default device."""
    return FORMS.get(jax.default_backend(), ACCELERATOR)
