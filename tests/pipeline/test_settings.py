"""Every setting is known, checked, and read by somebody."""

import dataclasses
import inspect

import ml_collections
import pytest

from jaxeap.attribution.attribute import METHODS
from jaxeap.metrics import MetricOptions
from jaxeap.pipeline import settings
from jaxeap.pipeline.settings import default_config, flat, require_known_keys, restricted, within
from jaxeap.pipeline.stages import STAGES
from jaxeap.tasks.selection import SelectionOptions


@pytest.fixture
def complete() -> ml_collections.ConfigDict:
    config = default_config()
    config.base, config.tuned, config.questions = "base", "tuned", "arithmetic:test"
    return config


def test_every_setting_is_read_by_a_stage_and_every_declared_one_exists():
    declared = [key for stage in STAGES for key in (*stage.reads, *stage.tuning)]
    of_the_plan = ("plan",)  # It stands before the stages, and changes no result.
    unread = [key for key in flat(default_config()) if not within(key, (*declared, *of_the_plan))]
    assert unread == ["compilation_cache", "controls.null_tuned"], "which run_pipeline reads itself"
    require_known_keys(declared, "stages")


def test_every_group_of_settings_is_explained():
    paragraphs = inspect.getsource(settings.default_config).split("\n\n")
    for paragraph in paragraphs[2:]:
        assert "  # " in paragraph, f"nothing explains\n{paragraph}"


@pytest.mark.parametrize(("group", "options"), [("selection", SelectionOptions), ("metrics", MetricOptions)])
def test_groups_have_the_options_and_defaults_of_their_dataclass(group, options):
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    assert dict(default_config()[group]) == defaults


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("selection.alpah", "selection.alpha"),
        ("alpha", "selection.alpha"),
        ("num_question", "num_questions"),
        ("sampling.max_tokens", "sampling.max_new_tokens"),
        ("selecton.alpha", "selection.alpha"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_one(key, suggested):
    with pytest.raises(ValueError, match=f"'{key}'; did you mean '{suggested}'") as caught:
        require_known_keys([key], "--config")
    assert "\n" not in str(caught.value)


def test_key_like_no_other_lists_all():
    with pytest.raises(ValueError, match=r"'zzz'; there are .*selection\.alpha"):
        require_known_keys(["zzz"], "--config")


def test_groups_are_known_keys():
    require_known_keys(["selection", "selection.alpha"], "--config")


def test_every_option_of_every_method_can_be_set_and_is_part_of_the_fingerprint():
    declared = dict(default_config().attribution.options)
    assert set(declared.values()) == {None}
    edges = {"edges"}  # Of exact patching: the pipeline scores all.
    of_methods = {field.name for method in METHODS.values() for field in dataclasses.fields(method.options)}
    assert declared.keys() == of_methods - edges
    scored = {key for key in flat(default_config()) if within(key, ["attribution"])}
    assert scored | {"mesh"} == {*settings.SCORING, *settings.SCORING_TUNING}


def test_restricted_config_has_what_was_declared_and_nothing_else(complete):
    part = restricted(complete, ("base", "sampling.seed", "selection"))
    assert part.base == "base"
    assert part.sampling.seed == 0
    assert dict(part.selection) == dict(complete.selection)
    for undeclared in (lambda: part.tuned, lambda: part.sampling.temperature, lambda: part.metrics):
        with pytest.raises(AttributeError):
            undeclared()


def test_keys_lie_within_groups_by_whole_names():
    assert within("sampling.seed", ["sampling"])
    assert within("questions", ["questions"])
    assert not within("question_seed", ["question"])
    assert not within("sampling", ["sampling.seed"])
