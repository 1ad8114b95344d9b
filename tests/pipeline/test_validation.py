"""What cannot be run is refused by name, with what would do."""

import ml_collections
import pytest

from jaxeap.pipeline.settings import default_config
from jaxeap.pipeline.validation import validate


@pytest.fixture
def complete() -> ml_collections.ConfigDict:
    config = default_config()
    config.base, config.tuned, config.questions = "base", "tuned", "arithmetic:test"
    return config


def test_defaults_with_a_pair_and_questions_are_valid(complete):
    validate(complete)


def test_key_that_a_config_file_invents_is_refused(complete):
    complete.selection.alhpa = 0.3
    with pytest.raises(ValueError, match=r"'selection.alhpa'; did you mean 'selection.alpha'"):
        validate(complete)


def test_config_without_a_setting_is_refused(complete):
    del complete.grader
    with pytest.raises(ValueError, match="lacks grader"):
        validate(complete)


def test_pair_and_questions_must_be_given():
    with pytest.raises(ValueError) as caught:
        validate(default_config())
    for key in ("base", "tuned", "questions"):
        assert f"--config.{key}=" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("dtype", "float8", "choose one of float32"),
        ("grader", "guess", "choose one of"),
        ("grader", "recorded", "only imported responses bring grades along"),
        ("math_grading.seconds", 0.0, "above 0"),
        ("math_grading.workers", 0, "at least 1"),
        ("responses", "made", "choose one of generated, imported"),
        ("responses", "imported", "must be a file of responses"),
        ("questions", "hub:gsm", "sets from the Hub are hub:gsm8k, hub:math"),
        ("questions", "hub:gsm8k", "question_revision None; pin openai/gsm8k by its full commit hash"),
        ("question_revision", "main", "only a set from the Hub has one"),
        ("question_set", "gsm", "choose one of None, gsm8k, math"),
        ("question_set", "gsm8k", "is no file, so its fields are known"),
        ("template", "deepseek", "must hold {question}, .* or be one of deepseek-math"),
        ("selection.unequal_prompts", "keep", "unequal_prompts must be one of"),
        ("attribution.method", "magic", "choose one of eap"),
        ("attribution.level", "layer", "choose one of block, head"),
        ("attribution.ablation", "corrupted", "choose one of zero, mean, resample"),
        ("attribution.mean_over", "tokens", "choose one of real_positions, each_position"),
        ("attribution.mean_over", "each_position", "only ablation 'mean' has a mean"),
        ("attribution.method", "eap_ig_inputs", "no affordable number of steps"),
        ("attribution.method", "clean_corrupted", "no affordable number of steps"),
        ("attribution.options.steps", 3, "method 'eap' has none"),
        ("audit.edges", 1, "0 \\(no audit\\) or at least 2"),
        ("audit.examples", 0, "at least 1"),
        ("controls.alphas", (0.3, 0.0), "numbers above 0"),
        ("controls.alphas", (0.3, 0.1), "not the run's own, which is 0.1"),
        ("controls.alphas", (0.3, 0.3), "give each once"),
        ("controls.splits", -1, "0 or more"),
        ("controls.resamples", 0, "at least 1"),
        ("num_questions", 0, "at least 1"),
        ("sampling.max_new_tokens", 0, "at least 1"),
        ("sampling.batch_size", 0, "at least 1"),
        ("attribution.batch_size", -1, "at least 1"),
        ("bootstrap.resamples", 0, "at least 1"),
        ("sampling.seed", -1, "0 or more"),
        ("sampling.temperature", -0.5, "0 \\(greedy\\) or above"),
        ("sampling.temperature", float("nan"), "0 \\(greedy\\) or above"),
        ("sampling.top_p", 0.0, "above 0 and at most 1"),
        ("sampling.top_p", 0.9, "no meaning at temperature 0"),
        ("sampling.top_k", -1, "0 \\(all tokens\\) or more"),
        ("sampling.samples", 0, "at least 1"),
        ("sampling.samples", 4, "would all be equal at temperature 0"),
        ("sampling.stop_strings", ("a", ""), "texts that are not empty"),
        ("sampling.cache_block", 0, "at least 1"),
        ("sampling.cache_tokens", 63, "at least cache_block \\(64\\)"),
        ("bootstrap.confidence", 1.0, "between 0 and 1"),
        ("template", "answer me", "must hold {question}"),
        ("selection.alpha", 0.0, "alpha must be"),
        ("selection.correctness", "all", "correctness must be"),
        ("selection.alpha", 0.0, "and is 0.0"),
        ("selection.seed", -1, "seed must be 0 or more, and is -1"),
        ("metrics.bins", 1, "config.metrics: bins is 1; give"),
        ("circuits.sizes", ("a",), "holds 'a'; give whole numbers"),
        ("circuits.faithfulness", ("a",), "holds 'a'; give numbers"),
        ("controls.alphas", (True,), "give numbers above 0"),
        ("metrics.top_share", 1.5, "top_share"),
        ("contrast.intervals", "normal", "choose one of bca, percentile"),
        ("contrast.permutations", -1, "0 or more"),
        ("contrast.breakdowns", ("layers",), "'layers'; choose from layer"),
        ("contrast.half_width", 0.0, "above 0"),
        ("contrast.memory", 0.0, "above 0"),
        ("correlates.max_questions", -1, "0 or more"),
        ("correlates.resamples", 0, "at least 1"),
    ],
)
def test_values_without_sense_are_refused_by_name(complete, key, value, said):
    complete.update_from_flattened_dict({key: value})
    with pytest.raises(ValueError, match=said) as caught:
        validate(complete)
    assert key.rpartition(".")[2] in str(caught.value) and "Options" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("relp", {"constant_attention": True}, None),
        ("information_flow", {"positions": "predicting"}, None),
        ("information_flow", {"positions": "all"}, "positions='all' is unknown"),
        ("exact", {"side_by_side": 4}, None),
        ("exact", {"side_by_side": 0}, "side_by_side is 0; it must be at least 1"),
        ("eap_ig_activations", {"steps": 2, "rule": "right"}, None),
        ("eap_ig_activations", {"steps": 0}, "steps must be at least 1"),
        ("eap_ig_activations", {"positions": "real"}, "has only steps, rule"),
    ],
)
def test_options_are_those_of_the_method(complete, method, options, said):
    complete.attribution.method = method
    complete.attribution.options.update(options)
    if said is None:
        validate(complete)
    else:
        with pytest.raises(ValueError, match=said) as caught:
            validate(complete)
        assert "\n" not in str(caught.value)


def test_integrated_gradients_go_with_an_ablation_that_has_a_path(complete):
    complete.attribution.method, complete.attribution.ablation = "eap_ig_inputs", "mean"
    complete.attribution.mean_over = "each_position"
    validate(complete)
    complete.attribution.method = "information_flow"
    with pytest.raises(ValueError, match="replaces nothing"):
        validate(complete)


def test_everything_that_is_wrong_is_said_at_once(complete):
    complete.dtype, complete.selection.alpha, complete.bootstrap.confidence = "int4", -1.0, 2.0
    with pytest.raises(ValueError) as caught:
        validate(complete)
    assert all(name in str(caught.value) for name in ("dtype", "alpha", "confidence"))
