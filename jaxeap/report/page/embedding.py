"""How data get into the page: JSON that cannot end its script element, and arrays as base64."""

import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What HTML or JavaScript could take for the end of data. It occurs inside JSON strings alone, where \\u is equal."""


def script_json(content: Any) -> Markup:
    """JSON for a `<script type="application/json">`. NaN and infinity are refused, since JSON has no word for them."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(ESCAPES))


def packed(array: npt.NDArray) -> dict[str, Any]:
    """An array of float32, uint16 or uint32 as base64 of its little-endian bytes, in row-major order; NaN allowed."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {
        "dtype": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(little.tobytes()).decode("ascii"),
    }
