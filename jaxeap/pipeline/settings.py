"""Every setting of a run: its default, what it means, and which values make sense."""

from __future__ import annotations

import difflib
import importlib.util
import math
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import ml_collections
from ml_collections import config_dict

from jaxeap.attribution.attribute import METHODS
from jaxeap.attribution.graph import Level
from jaxeap.metrics.options import MetricOptions
from jaxeap.tasks.grading import GRADERS, MATH
from jaxeap.tasks.lab_task import SPLITS
from jaxeap.tasks.lab_tasks import LAB_TASKS
from jaxeap.tasks.question_sets import COMMIT, QUESTION_SETS
from jaxeap.tasks.selection import SelectionOptions
from jaxeap.tasks.templates import QUESTION, resolve_template

DTYPES = ("float32", "bfloat16", "float16")
ABLATIONS = ("zero",)
"""Those that need nothing but the model and the text."""
GENERATED_QUESTIONS = tuple(f"{task}:{split}" for task in LAB_TASKS for split in SPLITS)
HUB = "hub:"
"""Begins the name of a question set that comes from the Hugging Face Hub."""
HUB_QUESTIONS = tuple(f"{HUB}{name}" for name in QUESTION_SETS)
GENERATED, IMPORTED = "generated", "imported"
RECORDED = "recorded"
"""In place of a grader: the grades that imported responses bring along."""


def default_config() -> ml_collections.ConfigDict:
    """All settings with their defaults; a config file changes what it needs, `--config.key=value` overrides it.

    A default of None has the right type all the same, so that a flag can set it.
    """
    config = ml_collections.ConfigDict()

    # The pair: folders in Hugging Face form (config.json, safetensors, tokenizer files), or written by
    # `python -m checkpoint_convert`. Before and after training.
    config.base = config_dict.placeholder(str)
    config.tuned = config_dict.placeholder(str)
    # Either may be the folder of a LoRA adapter (PEFT); this is the folder of the model that it was trained on. None:
    # the folder that the adapter names, or for a tuned adapter what config.base is.
    config.adapter_base = config_dict.placeholder(str)
    # Of weights and activations; scores are float32 always.
    config.dtype = "float32"

    # A file of JSON lines; "arithmetic:test", "arithmetic:train" (or another task of `jaxeap.tasks.lab_tasks`) for
    # generated ones; "hub:gsm8k" (or another of `jaxeap.tasks.question_sets`) for a set from the Hugging Face Hub.
    config.questions = config_dict.placeholder(str)
    # Whose published fields a file has, "math" for one; None finds question and answer under their usual names.
    config.question_set = config_dict.placeholder(str)
    # Of a set from the Hub: the commit of its repository, and the split; None takes the set's usual split.
    config.question_revision = config_dict.placeholder(str)
    config.question_split = config_dict.placeholder(str)
    # How many are drawn, each equally likely, and the seed of the draw; a smaller number gives the beginning of the
    # same list. None asks all in their order.
    config.num_questions = config_dict.placeholder(int)
    config.question_seed = 0
    # Only questions of these levels, as the set calls them; () for all.
    # On the command line: --config.question_levels="('carry', 'carry_chain')"
    config.question_levels = ()

    # What the model is given: a name in `jaxeap.tasks.templates.TEMPLATES` ("deepseek-math", "chat", ...), or a text
    # with {question} in it. With chat_template the text is the user's message, and the tokenizer's own chat template,
    # ending where the assistant begins to speak, goes around it.
    config.template = QUESTION
    config.chat_template = False

    # "generated": the models are asked. "imported": config.questions is a file that holds both models' responses to its
    # questions as well (`jaxeap.tasks.imported` says how); then the settings of sampling are not used, and a template
    # other than the default one is what the prompts in the file must be.
    config.responses = GENERATED

    config.sampling = ml_collections.ConfigDict()
    config.sampling.max_new_tokens = 1024  # An answer that has not ended by then is unfinished, so it is wrong.
    config.sampling.temperature = 0.0  # 0 is greedy, as in the paper.
    config.sampling.seed = 0
    config.sampling.batch_size = 32  # Changes speed and memory alone.

    # How answers are judged: one of `jaxeap.tasks.grading.GRADERS`; "recorded" takes the grades of imported responses.
    config.grader = "exact"
    # Of the grader "math": processor time for an answer in seconds, and how many processes; None is one for each core.
    config.math_grading = ml_collections.ConfigDict()
    config.math_grading.seconds = 10.0
    config.math_grading.workers = config_dict.placeholder(int)  # Changes speed alone.

    # Which questions are compared, and how much of the answers counts; see `SelectionOptions`.
    config.selection = ml_collections.ConfigDict()
    config.selection.correctness = "both_right"
    config.selection.beta = 0.5
    config.selection.gamma = 1.5
    config.selection.delta = 0.5
    config.selection.alpha = 0.1
    config.selection.max_pairs = config_dict.placeholder(int)  # None takes all (paper: 100).
    config.selection.seed = 42
    config.selection.unequal_prompts = "refuse"  # Only imported responses can have them; or "drop", "drop_lengths".

    config.attribution = ml_collections.ConfigDict()
    config.attribution.method = "eap"
    config.attribution.level = "block"  # Or "head".
    config.attribution.ablation = "zero"
    config.attribution.batch_size = 8  # Changes speed and memory alone.

    # The choices that the metrics' definitions leave open; see `MetricOptions`.
    config.metrics = ml_collections.ConfigDict()
    config.metrics.entries = "all"
    config.metrics.bins = 100
    config.metrics.bin_range = "shared"
    config.metrics.kurtosis = "fisher"
    config.metrics.correlation = "signed"

    # The paired bootstrap behind the intervals.
    config.bootstrap = ml_collections.ConfigDict()
    config.bootstrap.resamples = 10_000
    config.bootstrap.seed = 0
    config.bootstrap.confidence = 0.95

    # The comparison of the weights themselves.
    config.weights = ml_collections.ConfigDict()
    config.weights.rank = 64  # Singular values of each matrix's difference; 0 leaves them out, in half the time.

    # report.html: everything on one page that opens offline, 5 to 15 MB.
    config.report = ml_collections.ConfigDict()
    config.report.page = True

    # Folder where compiled programs are kept from run to run; see `use_compilation_cache` for "auto", "" keeps none.
    config.compilation_cache = "auto"
    return config


def flat(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Every setting by its dotted key, "selection.alpha" for one."""
    return dict(_flat(config))


def within(key: str, groups: Iterable[str]) -> bool:
    """Whether the dotted key is one of `groups` or lies in one ("sampling" holds "sampling.seed")."""
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def restricted(config: ml_collections.ConfigDict, groups: Iterable[str]) -> ml_collections.FrozenConfigDict:
    """The config with the settings in `groups` alone: reading any other raises AttributeError."""
    return ml_collections.FrozenConfigDict(_restricted(config, tuple(groups), ""))


def require_known_keys(keys: Iterable[str], origin: str) -> None:
    """Refuses keys that are neither settings nor groups of settings, all in one error.

    Raises:
      ValueError: naming each, with the nearest known one; `origin` says where they stand.
    """
    settings = flat(default_config())
    groups = {key.rpartition(".")[0] for key in settings} - {""}
    if unknown := [key for key in keys if key not in settings and key not in groups]:
        raise ValueError("; ".join(f"{origin} has no setting {key!r}{_suggestion(key, settings)}" for key in unknown))


def validate(config: ml_collections.ConfigDict) -> None:
    """Refuses a config that could not be run, with everything that is wrong in one message.

    Raises:
      ValueError: keys are unknown or missing, a value must be given or makes no sense.
    """
    settings = flat(config)
    require_known_keys(settings, "the config")
    if missing := flat(default_config()).keys() - settings.keys():
        raise ValueError(f"the config lacks {', '.join(sorted(missing))}; begin it with default_config()")
    problems = [*_not_given(settings), *_out_of_range(settings), *_at_odds(settings)]
    for group, options in (("selection", SelectionOptions), ("metrics", MetricOptions)):
        try:
            options(**config[group])
        except ValueError as error:
            problems.append(f"config.{group}: {error}")
    if problems:
        raise ValueError("\n".join(problems))


def _flat(config: ml_collections.ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in config:
        value = config[key]
        if isinstance(value, ml_collections.ConfigDict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _restricted(config: ml_collections.ConfigDict, groups: tuple[str, ...], prefix: str) -> dict[str, Any]:
    part: dict[str, Any] = {}
    for key in config:
        if not isinstance(config[key], ml_collections.ConfigDict):
            if within(f"{prefix}{key}", groups):
                part[key] = config[key]
        elif inner := _restricted(config[key], groups, f"{prefix}{key}."):
            part[key] = inner
    return part


def _suggestion(key: str, settings: Iterable[str]) -> str:
    by_last_part = {known.rpartition(".")[2]: known for known in settings}
    near = difflib.get_close_matches(key, settings, n=1, cutoff=0.7)
    near = near or difflib.get_close_matches(key.rpartition(".")[2], by_last_part, n=1, cutoff=0.7)
    if near:
        return f"; did you mean {by_last_part.get(near[0], near[0])!r}?"
    return f"; there are {', '.join(settings)}"


def _not_given(settings: dict[str, Any]) -> Iterator[str]:
    wanted = {
        "base": "the folder of the model before training",
        "tuned": "the folder of the model after training",
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
    }
    for key, values in allowed.items():
        if settings[key] not in values:
            yield f"config.{key} is {settings[key]!r}; choose one of {', '.join(map(str, values))}"
    positive = (
        "num_questions",
        "sampling.max_new_tokens",
        "sampling.batch_size",
        "math_grading.workers",
        "attribution.batch_size",
        "bootstrap.resamples",
    )
    for key in positive:
        if settings[key] is not None and settings[key] < 1:
            yield f"config.{key} is {settings[key]}; it must be at least 1"
    for key in ("question_seed", "sampling.seed", "bootstrap.seed", "weights.rank"):
        if settings[key] < 0:
            yield f"config.{key} is {settings[key]}; it must be 0 or more"
    if not 0 <= settings["sampling.temperature"] < math.inf:
        yield f"config.sampling.temperature is {settings['sampling.temperature']}; it must be 0 (greedy) or above"
    if not 0 < settings["math_grading.seconds"] < math.inf:
        yield f"config.math_grading.seconds is {settings['math_grading.seconds']}; it must be above 0"
    if not 0 < settings["bootstrap.confidence"] < 1:
        yield f"config.bootstrap.confidence is {settings['bootstrap.confidence']}; it must lie between 0 and 1"
    try:
        resolve_template(settings["template"], settings["chat_template"])
    except ValueError as error:
        yield f"config.template, config.chat_template: {error}"


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
