"""An interval as a small drawing in a table row: where its ends, its value and zero lie between two limits."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from jaxeap.report.page.wording import Bounds, bounds


@dataclasses.dataclass(frozen=True)
class Strip:
    """Places in percent of the width; None is not drawn.

    Attributes:
      zero: of the line at 0.
      left, width: of the bar.
      dot: of the value.
      apart: the interval leaves 0 out.
    """

    zero: float
    left: float | None
    width: float | None
    dot: float | None
    apart: bool


def strip(value: float | None, interval: Any, limit: float) -> Strip:
    """A strip from -limit to limit, cut where the interval goes beyond."""
    found = bounds(interval)
    left = right = None
    if found is not None:
        left, right = (_place(end, limit) for end in found)
    return Strip(
        zero=50.0,
        left=left,
        width=None if left is None or right is None else round(max(right - left, 0.5), 2),
        dot=None if value is None else _place(value, limit),
        apart=found is not None and not found[0] <= 0 <= found[1],
    )


def own_strip(value: float | None, interval: Any) -> Strip:
    """A strip on a scale of its own."""
    return strip(value, interval, common_limit([(value, bounds(interval))]))


def common_limit(rows: Iterable[tuple[float | None, Bounds | None]]) -> float:
    """A limit within which all values and intervals lie, with some space beside them; 1 where there are none."""
    ends = [abs(end) for value, interval in rows for end in (value, *(interval or ())) if end is not None]
    return 1.08 * max(ends, default=0.0) or 1.0


def _place(value: float, limit: float) -> float:
    return round(50 + 50 * min(1.0, max(-1.0, value / limit)), 2)
