"""The null pair's own run, inside the work directory of the run that it is the control of.

What a null pair can be, and how to come by one, docs/controls.md says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ml_collections

from jaxeap.models.lora import is_adapter
from jaxeap.pipeline.settings import IMPORTED

FOLDER = "null_pair"
LEFT_OUT: Mapping[str, Any] = MappingProxyType(
    {
        "controls.null_tuned": None,
        "controls.null_run": None,
        "controls.cross_text": False,
        "controls.alphas": (),
        "controls.sensitivity": False,
        "controls.splits": 0,
        "controls.divergence_questions": 0,
        "audit.edges": 0,
        "contrast.permutations": 0,
        "contrast.breakdowns": (),
        "contrast.position_bands": 1,
        "contrast.edges": False,
        "circuits.sizes": (),
        "correlates.max_questions": 0,
        "exports.edges": False,
        "exports.graphs": False,
        "report.figures": False,
        "report.page": False,
        "weights.rank": 0,
    }
)
"""What the metrics of the null pair do not need."""


def why_left_out(stage: Path, setting: str) -> str:
    """Why a stage, in its folder, does nothing: this is the null pair's run, or a setting of the run says so."""
    return "for the null pair, which needs none" if stage.parent.name == FOLDER else f"({setting})"


def null_config(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The settings of the null pair's run: this run's, between base and `controls.null_tuned`, metrics alone.

    Raises:
      ValueError: answers are imported, and the file holds none of the null model's; or a finished run is given too.
    """
    if config.controls.null_run:
        raise ValueError(
            "config.controls.null_tuned names a model and config.controls.null_run a finished run of a null pair: "
            "give one of them"
        )
    if config.responses == IMPORTED:
        raise ValueError(
            "config.controls.null_tuned would have the null model answer, but responses are imported: make the null "
            "pair's run with its own imported responses and give its work directory as config.controls.null_run"
        )
    null = config.copy_and_resolve_references()
    null.tuned = config.controls.null_tuned
    null.bootstrap.resamples = config.controls.resamples
    null.update_from_flattened_dict(LEFT_OUT)
    if not any(is_adapter(Path(folder)) for folder in (null.base, null.tuned)):
        null.adapter_base = None  # It is of config.tuned alone.
    return null
