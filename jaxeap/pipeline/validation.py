"""Which settings cannot be run, each with what is wrong and what would do."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Iterator
from typing import Any, get_args

import ml_collections

from jaxeap.attribution.attribute import METHODS
from jaxeap.attribution.graph import Level
from jaxeap.attribution.interventions import MeanOver
from jaxeap.metrics.inference.options import METHODS as INTERVALS
from jaxeap.metrics.options import MetricOptions
from jaxeap.models.hub import HUB, hub_name
from jaxeap.pipeline.settings import (
    ABLATIONS,
    BREAKDOWNS,
    DTYPES,
    GENERATED,
    GENERATED_QUESTIONS,
    HUB_QUESTIONS,
    IMPORTED,
    PATH_FROM_ABLATED_INPUT,
    RANKED_BY,
    RECORDED,
    default_config,
    flat,
    require_known_keys,
)
from jaxeap.sampling.options import SamplingOptions
from jaxeap.tasks.grading import GRADERS, MATH
from jaxeap.tasks.question_sets import COMMIT, QUESTION_SETS
from jaxeap.tasks.selection import SelectionOptions
from jaxeap.tasks.templates import resolve_template


def validate(config: ml_collections.ConfigDict) -> None:
    """Refuses a config that could not be run, with everything that is wrong in one message.

    Raises:
      ValueError: keys are unknown or missing, a value must be given or makes no sense.
    """
    settings = flat(config)
    require_known_keys(settings, "the config")
    if missing := flat(default_config()).keys() - settings.keys():
        raise ValueError(f"the config lacks {', '.join(sorted(missing))}; begin it with default_config()")
    problems = [*_not_given(settings), *_out_of_range(settings), *_at_odds(settings), *_of_method(settings)]
    groups = {"sampling": SamplingOptions, "selection": SelectionOptions, "metrics": MetricOptions}
    for group, options in groups.items():
        try:
            options(**config[group])
        except ValueError as error:
            problems.append(f"config.{group}: {error}")
    if problems:
        raise ValueError("\n".join(problems))


def _not_given(settings: dict[str, Any]) -> Iterator[str]:
    wanted = {
        "base": "the model before training, a folder or hub:owner/name",
        "tuned": "the model after training, a folder or hub:owner/name",
        "questions": f"a file of JSON lines, or one of {', '.join((*GENERATED_QUESTIONS, *HUB_QUESTIONS))}",
    }
    for key, what in wanted.items():
        if not settings[key]:
            yield f"config.{key} is not set: pass --config.{key}=..., {what}"


def _out_of_range(settings: dict[str, Any]) -> Iterator[str]:
    allowed = {
        "dtype": DTYPES,
        "grader": (*GRADERS, RECORDED),
        "responses": (GENERATED, IMPORTED),
        "question_set": (None, *QUESTION_SETS),
        "attribution.method": tuple(METHODS),
        "attribution.level": get_args(Level),
        "attribution.ablation": ABLATIONS,
        "circuits.ranked_by": RANKED_BY,
        "attribution.mean_over": get_args(MeanOver),
        "contrast.intervals": INTERVALS,
    }
    for key, values in allowed.items():
        if settings[key] not in values:
            yield f"config.{key} is {settings[key]!r}; choose one of {', '.join(map(str, values))}"
    positive = (
        "num_questions",
        "math_grading.workers",
        "attribution.batch_size",
        "audit.examples",
        "bootstrap.resamples",
        "plan.prompt_tokens",
        "plan.answer_tokens",
        "contrast.position_bands",
        "controls.resamples",
        "circuits.examples",
        "circuits.max_edges",
        "exports.max_edges",
        "correlates.resamples",
    )
    for key in positive:
        if settings[key] is not None and settings[key] < 1:
            yield f"config.{key} is {settings[key]}; it must be at least 1"
    not_negative = (
        "mesh.data",
        "mesh.fsdp",
        "mesh.tensor",
        "question_seed",
        "attribution.seed",
        "audit.seed",
        "bootstrap.seed",
        "weights.rank",
        "circuits.splits",
        "contrast.permutations",
        "correlates.max_questions",
        "correlates.seed",
        "controls.splits",
        "controls.divergence_questions",
        "controls.seed",
    )
    for key in not_negative:
        if settings[key] < 0:
            yield f"config.{key} is {settings[key]}; it must be 0 or more"
    if settings["audit.edges"] < 0 or settings["audit.edges"] == 1:
        yield f"config.audit.edges is {settings['audit.edges']}; it must be 0 (no audit) or at least 2"
    alphas = settings["controls.alphas"]
    if any(not _is_number(alpha) or not 0 < alpha < math.inf for alpha in alphas):
        yield f"config.controls.alphas is {alphas!r}; give numbers above 0, such as (0.03, 0.3)"
    if len({*alphas, settings["selection.alpha"]}) <= len(alphas):
        yield (
            f"config.controls.alphas is {alphas!r}; give each once, and not the run's own, which is "
            f"{settings['selection.alpha']!r}"
        )
    if unknown := [name for name in settings["contrast.breakdowns"] if name not in BREAKDOWNS]:
        yield f"config.contrast.breakdowns holds {unknown[0]!r}; choose from {', '.join(BREAKDOWNS)}"
    for key in ("contrast.half_width", "contrast.memory", "plan.device_gb", "plan.teraflops", "plan.gb_per_second"):
        if settings[key] is not None and not 0 < settings[key] < math.inf:
            yield f"config.{key} is {settings[key]}; it must be above 0"
    if not 0 < settings["math_grading.seconds"] < math.inf:
        yield f"config.math_grading.seconds is {settings['math_grading.seconds']}; it must be above 0"
    if not 0 < settings["bootstrap.confidence"] < 1:
        yield f"config.bootstrap.confidence is {settings['bootstrap.confidence']}; it must lie between 0 and 1"
    for size in settings["circuits.sizes"]:
        if not _is_number(size) or not (size >= 1 if isinstance(size, int) else 0 < size <= 1):
            yield f"config.circuits.sizes holds {size!r}; give whole numbers from 1, or shares of all edges up to 1.0"
    for target in settings["circuits.faithfulness"]:
        if not _is_number(target) or not 0 < target <= 1:
            yield f"config.circuits.faithfulness holds {target!r}; give numbers above 0 and at most 1"
    try:
        resolve_template(settings["template"], settings["chat_template"])
    except ValueError as error:
        yield f"config.template, config.chat_template: {error}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at_odds(settings: dict[str, Any]) -> Iterator[str]:
    """Settings that fit each by itself and not together, or that need what is not installed."""
    source, responses = settings["questions"] or "", settings["responses"]
    if source.startswith(HUB):
        if source not in HUB_QUESTIONS:
            yield f"config.questions is {source!r}; sets from the Hub are {', '.join(HUB_QUESTIONS)}"
        elif not COMMIT.fullmatch(settings["question_revision"] or ""):
            repository = QUESTION_SETS[source.removeprefix(HUB)].repository
            yield (
                f"config.questions is {source!r} and config.question_revision {settings['question_revision']!r}; pin "
                f"{repository} by its full commit hash, which its page on the Hub shows under 'Files and versions'"
            )
    for key in ("base", "tuned", "adapter_base"):
        try:
            hub_name(settings[key] or "")
        except ValueError as error:
            yield f"config.{key}: {error}"
    for key in ("question_revision", "question_split"):
        if settings[key] is not None and not source.startswith(HUB):
            yield f"config.{key} is {settings[key]!r}; only a set from the Hub has one, and {source!r} is none"
    if settings["question_set"] is not None and (source.startswith(HUB) or source in GENERATED_QUESTIONS):
        yield f"config.question_set is {settings['question_set']!r}; {source!r} is no file, so its fields are known"
    if responses == IMPORTED and (source in (*GENERATED_QUESTIONS, *HUB_QUESTIONS) or settings["question_set"]):
        yield "config.responses is 'imported'; then config.questions must be a file of responses, and no question_set"
    if settings["grader"] == RECORDED and responses != IMPORTED:
        yield "config.grader is 'recorded'; only imported responses bring grades along, set config.responses=imported"
    if settings["grader"] == MATH and importlib.util.find_spec("math_verify") is None:
        yield "config.grader is 'math'; it needs math-verify: pip install -r requirements/math.txt"


def _of_method(settings: dict[str, Any]) -> Iterator[str]:
    """Options and ablations that an attribution method has no use for, or gives no usable numbers under."""
    method, ablation = settings["attribution.method"], settings["attribution.ablation"]
    if method not in METHODS:
        return  # Said elsewhere.
    prefix = "attribution.options."
    given = {key.removeprefix(prefix): settings[key] for key in settings if key.startswith(prefix)}
    given = {name: value for name, value in given.items() if value is not None}
    options = METHODS[method].options
    own = [field.name for field in dataclasses.fields(options) if f"{prefix}{field.name}" in settings]
    if unknown := sorted(given.keys() - own):
        yield f"config.{prefix}{unknown[0]} is set; method {method!r} has {'only ' + ', '.join(own) if own else 'none'}"
    else:
        try:
            options(**given)
        except ValueError as error:
            yield f"config.attribution.options: {error}"
    if (side_by_side := given.get("side_by_side")) is not None and side_by_side < 1:
        yield f"config.attribution.options.side_by_side is {side_by_side}; it must be at least 1"
    if method in PATH_FROM_ABLATED_INPUT and ablation == "zero":
        yield (
            f"config.attribution.method is {method!r} and config.attribution.ablation 'zero': norms undo scaling, so "
            "that no affordable number of steps from an embedding of zeros converges; set ablation to mean or resample"
        )
    if method == "information_flow" and ablation != "zero":
        yield (
            f"config.attribution.ablation is {ablation!r}; method 'information_flow' replaces nothing, so leave it at "
            "'zero'"
        )
    if settings["attribution.mean_over"] != "real_positions" and ablation != "mean":
        yield f"config.attribution.mean_over is set and ablation is {ablation!r}; only ablation 'mean' has a mean"
