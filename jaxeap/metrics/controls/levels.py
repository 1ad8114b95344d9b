"""Levels of difficulty that move in opposite directions: then the change of all questions holds for neither of them.

The overall change is a mean over the questions that were selected, so its sign hangs on how many of each level are
among them (Simpson's paradox is the extreme case). A reader of the headline must know.
"""

from collections.abc import Sequence
from typing import Any

from jaxeap.metrics.controls.paired import Row
from jaxeap.metrics.controls.sides import said_of, side

MOST_LISTED = 6


def opposite_levels(rows: Sequence[Row]) -> dict[str, Any] | None:
    """What to say where the levels' changes of one metric differ in sign; None where they do not.

    Args:
        rows: of one metric, a row a level, with its name under "member".

    Returns:
        {"sure": whether intervals leave 0 out on both sides, "text": a sentence without its full stop}.
    """
    moved = [row for row in rows if row["difference"]]
    if {row["difference"] > 0 for row in moved} != {True, False}:
        return None
    sides = {side(row["interval"]) for row in moved}
    listed = sorted(moved, key=lambda row: -row["examples"])[:MOST_LISTED]
    if not any(row["difference"] * listed[0]["difference"] < 0 for row in listed):  # The largest are all on one side.
        listed[-1] = next(row for row in moved if row["difference"] * listed[0]["difference"] < 0)
    all_sure = all(side(row["interval"]) for row in listed)
    changes = ", ".join(_change(row, say_interval=not all_sure) for row in listed)
    changes += f", and {len(moved) - len(listed)} levels more" if len(moved) > len(listed) else ""
    changes += f"; {'both' if len(listed) == 2 else 'all these'} intervals leave 0 out" if all_sure else ""
    if sides >= {1, -1}:
        text = (
            f"levels of difficulty move in opposite directions ({changes}): the overall change is a mean of the two "
            "that holds for neither, and hangs on how many questions of each there are"
        )
        return {"sure": True, "text": text}
    text = f"the levels' changes differ in sign ({changes}), but no two of them lie clearly on opposite sides of 0"
    return {"sure": False, "text": text}


def _change(row: Row, say_interval: bool) -> str:
    change, interval = row["relative_change"], row["interval"]
    if change is None:
        said = f"{row['difference']:+.3g}"
    else:
        said = f"{change:+.0%}" if abs(change) >= 0.1 else f"{change:+.1%}"
    said += f" on {row['examples']:,} question{'' if row['examples'] == 1 else 's'} ({row['member']})"
    if not say_interval:
        return said
    return f"{said} {'without an interval' if interval is None else f'whose interval {said_of(side(interval))}'}"
