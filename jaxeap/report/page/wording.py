"""How results are said on the page: numbers beside those of `notation`, and words for names in result files."""

from typing import Any

from jaxeap.report import notation

Bounds = tuple[float, float]

MINUS = "−"
GLYPHS = {"supported": "✓", "not supported": "✕", "undecided": "?"}


def bounds(interval: Any) -> Bounds | None:
    """(low, high) of an interval as result files write it: a list of two, or an object with low and high."""
    if interval is None:
        return None
    low, high = (interval["low"], interval["high"]) if isinstance(interval, dict) else interval
    return None if low is None or high is None else (float(low), float(high))


def number(value: float | None) -> str:
    """As `notation.number`, with a true minus sign."""
    return notation.number(value).replace("-", MINUS)


def signed(value: float | None) -> str:
    """As `notation.signed`, with a true minus sign."""
    return notation.signed(value).replace("-", MINUS)


def percent(value: float | None) -> str:
    """As `notation.percent`, with a true minus sign."""
    return notation.percent(value).replace("-", MINUS)


def interval(value: Any) -> str:
    """As `notation.interval`, with true minus signs."""
    return notation.interval(bounds(value)).replace("-", MINUS)


def p_value(value: float | None) -> str:
    """Two significant digits; what is tiny is said to be small."""
    if value is None:
        return notation.UNDEFINED
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def seconds(value: float) -> str:
    """A duration as one would say it."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int, noun: str) -> str:
    """ "1 question", "1,200 questions"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def glyph(verdict: str) -> str:
    """A sign for a verdict, so that colour is not all that tells them apart."""
    return GLYPHS.get(verdict, "–")
