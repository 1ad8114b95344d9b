"""The settings of the null pair's run."""

from pathlib import Path

import pytest

from jaxeap.pipeline.null_pair import LEFT_OUT, null_config, why_left_out
from jaxeap.pipeline.settings import default_config, flat
from jaxeap.pipeline.validation import validate


def asked():
    config = default_config()
    config.base, config.tuned, config.controls.null_tuned = "base", "grpo", "more_sft"
    config.questions, config.selection.alpha, config.controls.resamples = "arithmetic:test", 0.3, 77
    return config


def test_only_the_tuned_model_and_what_metrics_do_not_need_are_other_settings():
    config = asked()
    null = null_config(config)
    validate(null)
    assert (null.base, null.tuned, null.bootstrap.resamples) == ("base", "more_sft", 77)
    changed = {key for key, value in flat(null).items() if value != flat(config)[key]}
    assert changed <= {"tuned", "bootstrap.resamples", *LEFT_OUT}
    assert config.tuned == "grpo" and config.controls.null_tuned == "more_sft"


def test_an_adapters_model_is_named_only_where_there_is_an_adapter(tmp_path: Path):
    config = asked()
    config.adapter_base = "base"
    assert null_config(config).adapter_base is None
    (tmp_path / "adapter_config.json").write_text("{}")
    config.controls.null_tuned = str(tmp_path)
    assert null_config(config).adapter_base == "base"


def test_what_cannot_be():
    config = asked()
    config.controls.null_run = "w"
    with pytest.raises(ValueError, match=r"null_tuned names a model and .*null_run a finished run"):
        null_config(config)
    config.controls.null_run, config.responses = None, "imported"
    with pytest.raises(ValueError, match="responses are imported: make the null pair's run with its own"):
        null_config(config)


def test_what_is_left_out_of_the_null_pair_is_not_laid_to_a_setting():
    assert why_left_out(Path("run/null_pair/audit"), "config.audit.edges is 0") == "for the null pair, which needs none"
    assert why_left_out(Path("run/audit"), "config.audit.edges is 0") == "(config.audit.edges is 0)"
