"""Activation intensity layer by layer: where in the model edges became stronger."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.bootstrap import Interval, check_confidence, percentile_interval, resample_weights
from jaxeap.metrics.contrast import check_pair
from jaxeap.metrics.entries import BoolArray, FloatArray
from jaxeap.metrics.entry_groups import LOGITS
from jaxeap.metrics.inference.bca import bca_interval
from jaxeap.metrics.inference.options import Method
from jaxeap.metrics.node_names import layer_of_node
from jaxeap.metrics.stream import ScoreStream, as_stream, per_example
from jaxeap.metrics.weighting import weighted_mean


@dataclasses.dataclass(frozen=True)
class LayerIntensity:
    """Intensity of one layer's destinations (or of the logits) in both models, in the units of the scores.

    Intervals are bootstrap intervals over questions, None with a single question. That of the difference is
    paired; the bands of the two models may overlap where it excludes zero.
    """

    layer: str
    edges: int
    base: float
    tuned: float
    difference: float
    base_interval: Interval | None
    tuned_interval: Interval | None
    difference_interval: Interval | None

    def to_json(self) -> dict[str, Any]:
        content = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in content.items()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "LayerIntensity":
        fields: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in content.items()}
        return cls(**fields)


def destination_groups(destinations: Sequence[str]) -> dict[str, npt.NDArray[np.intp]]:
    """Columns of each layer, "0", "1", ..., and of "logits" last."""
    layers = [layer_of_node(name) for name in destinations]
    numbers = sorted({layer for layer in layers if layer is not None})
    groups = {str(number): np.flatnonzero([layer == number for layer in layers]) for number in numbers}
    logits = np.flatnonzero([layer is None for layer in layers])
    return groups | ({LOGITS: logits} if len(logits) else {})


def layer_intensity_per_example(
    scores: npt.NDArray, mask: BoolArray, groups: dict[str, npt.NDArray[np.intp]]
) -> FloatArray:
    """Mean |W| over the edges into each group of destinations, for each example: [N, number of groups] float64.

    Over edges always: with structural zeros counted, a later layer would look stronger merely because more sources
    precede it. Weighted by their edge counts the groups add up to the intensity over edges.
    """
    columns = [
        np.abs(scores[:, :, group][:, mask[:, group]]).mean(axis=1, dtype=np.float64) for group in groups.values()
    ]
    return np.stack(columns, axis=1)


def layer_intensity(
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    destinations: Sequence[str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    method: Method = "bca",
) -> tuple[LayerIntensity, ...]:
    """Intensity by layer of the destination, logits apart, over the same resamples as `contrast` with the same seed.

    Args:
        base_scores, tuned_scores: [N, S, J] float32 or float64, or streams of them.
        mask: [S, J] bool.
        destinations: J node names.
        resamples, seed, confidence, method: as for `contrast`.

    Raises:
        ValueError: as `contrast`; when a name cannot be read, or names and mask do not fit.
    """
    check_confidence(confidence)
    check_pair(base_scores, tuned_scores, mask)
    if len(destinations) != mask.shape[1]:
        raise ValueError(f"{len(destinations)} destination names for a mask with {mask.shape[1]} columns")
    groups = destination_groups(destinations)
    for layer, group in groups.items():
        if not mask[:, group].any():
            raise ValueError(f"the mask has no edge into {layer}: it cannot be the mask of these destinations")
    (base,), (tuned,) = (
        per_example(as_stream(scores), [lambda shard: layer_intensity_per_example(shard, mask, groups)])
        for scores in (base_scores, tuned_scores)
    )
    models = {"base": base, "tuned": tuned, "difference": tuned - base}
    blocks = [
        {name: weighted_mean(values, weights) for name, values in models.items()}
        for weights in resample_weights(len(base), resamples, seed)
    ]
    resampled = {name: np.concatenate([block[name] for block in blocks]) for name in models}

    def interval(name: str, index: int) -> Interval | None:
        values = models[name][:, index]
        if len(values) < 2:
            return None
        if method == "bca":
            left_out = (values.sum() - values) / (len(values) - 1)
            found = bca_interval(float(values.mean()), resampled[name][:, index], left_out, confidence)
            return found and found[0]
        return percentile_interval(resampled[name][:, index], confidence)

    return tuple(
        LayerIntensity(
            layer=layer,
            edges=int(mask[:, group].sum()),
            base=float(base[:, index].mean()),
            tuned=float(tuned[:, index].mean()),
            difference=float(tuned[:, index].mean() - base[:, index].mean()),
            base_interval=interval("base", index),
            tuned_interval=interval("tuned", index),
            difference_interval=interval("difference", index),
        )
        for index, (layer, group) in enumerate(groups.items())
    )
