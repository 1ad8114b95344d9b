"""Colours and plain decoration that every figure shares; nothing of matplotlib's global state is touched."""

from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart with any colour vision, and by lightness in grey print.
BASE = "#0072B2"
TUNED = "#D55E00"
NEUTRAL = "#595959"
NON_EDGE = "#E3E3E3"
GRID = "#D9D9D9"


def bare(axes: Axes) -> None:
    """Takes the frame's upper and right side away and puts a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(NEUTRAL)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, color=NEUTRAL)
