"""Every setting of a run, its default and what it means; `jaxeap.pipeline.validation` says which values make sense."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import ml_collections
from ml_collections import config_dict

from jaxeap.metrics.entry_groups import BY_ENTRIES
from jaxeap.models.hub import HUB
from jaxeap.tasks.lab_task import SPLITS
from jaxeap.tasks.lab_tasks import LAB_TASKS
from jaxeap.tasks.question_sets import QUESTION_SETS
from jaxeap.tasks.templates import QUESTION

DTYPES = ("float32", "bfloat16", "float16")
ABLATIONS = ("zero", "mean", "resample")
"""Those that need nothing but the model and the selected questions."""
PATH_FROM_ABLATED_INPUT = ("eap_ig_inputs", "clean_corrupted")
"""Methods that take gradients at, or on the way from, an input whose embedding is the ablated one."""
SCORING_TUNING = ("attribution.batch_size", "attribution.options.side_by_side", "mesh")
SCORING = (
    "attribution.method",
    "attribution.level",
    "attribution.ablation",
    "attribution.mean_over",
    "attribution.seed",
    "attribution.options.steps",
    "attribution.options.rule",
    "attribution.options.positions",
    "attribution.options.constant_norm",
    "attribution.options.linear_activation",
    "attribution.options.halved_products",
    "attribution.options.constant_attention",
    "attribution.options.constant_routing",
)
"""Settings on which an edge's score depends."""
BREAKDOWNS = (*BY_ENTRIES, "difficulty")
RANKED_BY = ("absolute_mean", "mean_absolute")
"""Strengths without a sign, which two circuits can be compared by."""
GENERATED_QUESTIONS = tuple(f"{task}:{split}" for task in LAB_TASKS for split in SPLITS)
HUB_QUESTIONS = tuple(f"{HUB}{name}" for name in QUESTION_SETS)
GENERATED, IMPORTED = "generated", "imported"
RECORDED = "recorded"
"""In place of a grader: the grades that imported responses bring along."""


def default_config() -> ml_collections.ConfigDict:
    """All settings with their defaults; a config file changes what it needs, `--config.key=value` overrides it.

    A default of None has the right type all the same, so that a flag can set it.
    """
    config = ml_collections.ConfigDict()

    # The pair, before and after training: folders in Hugging Face form (config.json, safetensors, tokenizer files), or
    # written by `python -m checkpoint_convert`; or "hub:owner/name" and "hub:owner/name@revision" on the Hugging Face
    # Hub, the revision being a branch, a tag or a commit.
    config.base = config_dict.placeholder(str)
    config.tuned = config_dict.placeholder(str)
    # Either may be the folder of a LoRA adapter (PEFT); this is the folder of the model that it was trained on. None:
    # the folder that the adapter names, or for a tuned adapter what config.base is.
    config.adapter_base = config_dict.placeholder(str)
    # Of weights and activations; scores are float32 always.
    config.dtype = "float32"
    # Groups of devices that share out the examples, and the devices of a group, over which the weights are cut: along
    # the residual width (fsdp), and along heads, feed-forward width and vocabulary (tensor). 0 is chosen: the smallest
    # group that holds the model, and all devices (of a CPU: one). Changes speed and memory, and results by rounding
    # alone; docs/sharding.md.
    config.mesh = ml_collections.ConfigDict()
    config.mesh.data = 0
    config.mesh.fsdp = 0
    config.mesh.tensor = 0

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
    config.sampling.top_k = 0  # Draws from the k most likely tokens; 0 from all.
    config.sampling.top_p = 1.0  # Draws from the most likely tokens that have this share together; 1 from all.
    config.sampling.seed = 0
    # Answers to each question. The first is graded, selected and attributed; all are kept and graded for the pass rate.
    config.sampling.samples = 1
    # Texts that end an answer, beside the model's end-of-text tokens; the answer's text ends before them.
    # On the command line: --config.sampling.stop_strings="('Question:',)"
    config.sampling.stop_strings = ()
    # How many answers are written at once; tokens in a block of the cache of keys and values; tokens in all of it, None
    # for batch_size answers of full length. These change speed and memory alone.
    config.sampling.batch_size = 32
    config.sampling.cache_block = 64
    config.sampling.cache_tokens = config_dict.placeholder(int)

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
    config.attribution.method = "eap"  # One of `jaxeap.attribution.attribute.METHODS`; docs/attribution.md.
    config.attribution.level = "block"  # Or "head".
    # What a source is replaced by: "zero"; "mean", its mean output over all texts that the model is scored on;
    # "resample", its output on another selected question, position by position.
    config.attribution.ablation = "zero"
    config.attribution.mean_over = "real_positions"  # Or "each_position", a mean for each.
    config.attribution.seed = 0  # Of the draw for "resample".
    config.attribution.batch_size = 8  # Changes speed and memory alone.
    # The method's own options; None leaves its default, and one that the method has not is refused.
    config.attribution.options = ml_collections.ConfigDict()
    config.attribution.options.steps = config_dict.placeholder(int)  # eap_ig_inputs, eap_ig_activations
    config.attribution.options.rule = config_dict.placeholder(str)  # the same; "midpoint" or one of `Rule`
    config.attribution.options.positions = config_dict.placeholder(str)  # information_flow; "real", "predicting"
    config.attribution.options.constant_norm = config_dict.placeholder(bool)  # relp, as in `RelpOptions`
    config.attribution.options.linear_activation = config_dict.placeholder(bool)  # relp
    config.attribution.options.halved_products = config_dict.placeholder(bool)  # relp
    config.attribution.options.constant_attention = config_dict.placeholder(bool)  # relp
    config.attribution.options.constant_routing = config_dict.placeholder(bool)  # relp
    config.attribution.options.side_by_side = config_dict.placeholder(int)  # exact; speed and memory alone

    # How far the scores can be trusted: on some questions some edges are patched exactly, in both models, which costs
    # half a forward pass for each edge and question. Fewer edges give wider intervals; 0 leaves the audit out.
    config.audit = ml_collections.ConfigDict()
    config.audit.edges = 64
    config.audit.examples = 16
    config.audit.seed = 0  # Of the draw of both.

    # The choices that the metrics' definitions leave open; see `MetricOptions`.
    config.metrics = ml_collections.ConfigDict()
    config.metrics.entries = "all"
    config.metrics.bins = 100
    config.metrics.bin_range = "shared"
    config.metrics.kurtosis = "fisher"
    config.metrics.correlation = "signed"
    config.metrics.top_share = 0.01

    # The paired bootstrap behind the intervals.
    config.bootstrap = ml_collections.ConfigDict()
    config.bootstrap.resamples = 10_000
    config.bootstrap.seed = 0
    config.bootstrap.confidence = 0.95

    # How the difference of two models is judged, and which parts of it are shown; see docs/metrics.md.
    config.contrast = ml_collections.ConfigDict()
    config.contrast.intervals = "bca"  # Of the bootstrap; or "percentile".
    config.contrast.permutations = 10_000  # Sign patterns of the permutation test at most; 0 leaves p-values out.
    config.contrast.breakdowns = BREAKDOWNS  # Any of these; () for none.
    # Into how many parts the counted tokens of each answer are cut, to be scored and compared by themselves: does the
    # difference lie in how answers begin or in how they go on? Each costs a scoring; 1 for none.
    config.contrast.position_bands = 1
    config.contrast.edges = True  # edges.safetensors: every edge with its interval, p-value and q-value.
    # How narrow the interval shall be for the answer to "how many questions are enough": half its width as a share of
    # the base model's value. None: narrow enough to leave 0 out, if the difference stays what it is.
    config.contrast.half_width = config_dict.placeholder(float)
    # Of scores that are in memory at a time, in 2^30 bytes; less means reading them more often.
    config.contrast.memory = 2.0

    # With what diversity and intensity of a question go along: both models score so many answers of their own, right or
    # wrong (a random draw from all that were asked; what was selected and drawn is not scored again). 0 for none.
    config.correlates = ml_collections.ConfigDict()
    config.correlates.max_questions = 200
    config.correlates.seed = 0  # Of the draw.
    config.correlates.resamples = 1000

    # What a careful reader asks of a difference; docs/controls.md says what each can show.
    config.controls = ml_collections.ConfigDict()
    # Each model is scored on the other's text as well, which tells the model's part of a difference from the text's.
    # At most twice the scoring; answers that both models gave word for word alike cost nothing.
    config.controls.cross_text = True
    # Other truncations at which the questions are scored again, "(0.03, 0.3)"; each costs a scoring. () for none.
    config.controls.alphas = ()
    config.controls.sensitivity = True  # The difference again under the metrics' other open choices.
    config.controls.splits = 1000  # Random halves of one model's questions, contrasted as if two models; 0 for none.
    config.controls.divergence_questions = 200  # On how many KL(tuned || base) is measured; 0 for none.
    # A model that came from config.base by training of no interest, such as more of the same supervised training; named
    # as config.tuned is. Base and it are contrasted first, in WORKDIR/null_pair; a claim must go beyond their change.
    config.controls.null_tuned = config_dict.placeholder(str)
    # Or the finished work directory of a null pair. It must have been made with the same choices.
    config.controls.null_run = config_dict.placeholder(str)
    config.controls.resamples = 2_000  # Of the questions, for the controls' intervals: tens of them are made.
    config.controls.seed = 0  # Of the halves and of the questions for the divergence.

    # The two models' circuits: strongest edges, by what makes them strong ("absolute_mean": |mean score|, or
    # "mean_absolute"). sizes: numbers of edges (whole) and shares of all (fractions) to compare at; () switches the
    # stage off. faithfulness: to which the two are matched as well.
    config.circuits = ml_collections.ConfigDict()
    config.circuits.sizes = (0.02, 0.05, 0.1, 0.2, 0.5)
    config.circuits.faithfulness = (0.5, 0.8, 0.9)
    config.circuits.ranked_by = "absolute_mean"
    config.circuits.examples = 32  # On how many questions faithfulness is measured.
    config.circuits.splits = 10  # Of the questions into halves, whose circuits show what noise alone does; 0: none.
    # Of the sizes the largest with at most so many edges is listed, drawn and exported.
    config.circuits.max_edges = 500

    # Files for other tools in exports/: every edge as CSV; the circuits with the strongest edges as EAP-IG's JSON and
    # as GraphML.
    config.exports = ml_collections.ConfigDict()
    config.exports.edges = True
    config.exports.graphs = True
    config.exports.max_edges = 20_000  # Of the graphs; CSV has every edge.

    # Figures in PNG, SVG and PDF.
    config.report = ml_collections.ConfigDict()
    config.report.figures = True
    # report.html: everything on one page that opens offline, 5 to 12 MB.
    config.report.page = True

    # The comparison of the weights themselves.
    config.weights = ml_collections.ConfigDict()
    config.weights.rank = 64  # Singular values of each matrix's difference; 0 leaves them out, in half the time.

    # What the plan (`--dry_run`, and the start of every run) reckons with where nothing tells; changes no result.
    config.plan = ml_collections.ConfigDict()
    config.plan.device_gb = config_dict.placeholder(float)  # Memory of a device; None asks it, or else supposes 80.
    config.plan.prompt_tokens = 160  # In the mean, where the questions cannot be read and counted.
    config.plan.answer_tokens = 512  # In the mean, never more than sampling.max_new_tokens.
    # Operations (10^12) and bytes (10^9, read from its memory) that one device really does in a second. None measures
    # them for a second on the device of the run; a dry run on a CPU supposes half of an A100's peaks, 150 and 1000.
    config.plan.teraflops = config_dict.placeholder(float)
    config.plan.gb_per_second = config_dict.placeholder(float)

    # Folder where compiled programs are kept from run to run; see `use_compilation_cache` for "auto", "" keeps none.
    config.compilation_cache = "auto"
    return config


def flat(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Every setting by its dotted key, "selection.alpha" for one."""
    return dict(_flat(config))


def optional_keys() -> frozenset[str]:
    """The settings that may be None, which `--config.key=none` makes them."""
    unset = {key for key, value in flat(default_config()).items() if value is None}
    return frozenset(unset - {"base", "tuned", "questions"})


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
