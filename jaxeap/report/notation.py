"""How numbers are written in tables and figures."""

UNDEFINED = "–"


def number(value: float | None) -> str:
    """Four significant digits, a plain zero, a dash for None."""
    return _significant(value, 4, sign="")


def signed(value: float | None) -> str:
    """Three significant digits with a sign, a plain zero, a dash for None."""
    return _significant(value, 3, sign="+")


def percent(value: float | None) -> str:
    """A signed percentage with a digit after the point (or the first that is not 0), a plain zero, a dash for None."""
    if value is None:
        return UNDEFINED
    if value == 0:
        return "0%"
    return f"{100 * value:+,.1f}%" if abs(value) >= 0.0005 else f"{100 * value:+.1g}%"


def share(value: float | None) -> str:
    """A percentage of a whole; neither 0% nor 100% is written where it is not exactly that; a dash for None."""
    if value is None:
        return UNDEFINED
    if value in (0, 1):
        return f"{value:.0%}"
    return "< 0.1%" if value < 0.001 else "> 99.9%" if value > 0.999 else f"{value:.1%}"


def interval(bounds: tuple[float, float] | None) -> str:
    """Both ends as `signed` writes them, a dash for None."""
    return UNDEFINED if bounds is None else f"[{signed(bounds[0])}, {signed(bounds[1])}]"


def probability(value: float | None) -> str:
    """Two significant digits, or "<0.001", beyond which a permutation test tells little; a dash for None."""
    if value is None:
        return UNDEFINED
    return "<0.001" if value < 0.001 else f"{value:#.2g}".removesuffix(".")


def _significant(value: float | None, digits: int, sign: str) -> str:
    if value is None:
        return UNDEFINED
    return "0" if value == 0 else f"{value:{sign}#.{digits}g}".removesuffix(".")
