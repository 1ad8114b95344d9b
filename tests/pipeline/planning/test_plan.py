"""The plan of a run: what it counts, what it refuses, and what it proposes instead."""

import io
import json
import re

import pytest
import rich.console

from jaxeap.models.config import ModelConfig
from jaxeap.parallel.automatic import weight_bytes
from jaxeap.pipeline import default_config
from jaxeap.pipeline.planning import plan_run, print_plan, print_short_plan
from jaxeap.pipeline.planning.fitting import GB
from jaxeap.pipeline.planning.plan import USABLE
from jaxeap.tasks.questions import Question, write_questions


@pytest.fixture(autouse=True)
def graders(monkeypatch):
    """Plans ask for nothing that is installed for grading."""
    monkeypatch.setattr("jaxeap.pipeline.validation.importlib.util.find_spec", lambda name: object())


def full_size():
    config = default_config()
    config.base, config.tuned = "hub:deepseek-ai/deepseek-math-7b-instruct", "hub:deepseek-ai/deepseek-math-7b-rl"
    config.questions, config.dtype = "hub:math", "bfloat16"
    config.sampling.max_new_tokens, config.sampling.batch_size = 4096, 16
    config.selection.max_pairs = 100
    config.plan.device_gb = 80.0
    return config


def printed(plan, config) -> str:
    console = rich.console.Console(file=io.StringIO(), width=140)
    print_plan(plan, config, console)
    print_short_plan(plan, console)
    return console.file.getvalue()


def test_a_tiny_run_is_counted_and_fits(config):
    plan = plan_run(config)
    work = plan.work
    assert (work.questions, work.scored, work.limit, work.answer, work.cut) == (11, 11, 5, 5, 5)
    assert work.longest_prompt == 6 and 5 <= work.prompt <= 6
    assert (work.scored_length, work.scored_width) == (10, 5)
    assert plan.rows == (4, 3)
    assert plan.cache_tokens == 4 * 16  # 6 + 5 - 1 tokens a row, in whole eights
    assert plan.score_bytes == 4 * 5 * 9 * 11 * 2
    assert plan.problems == ()
    plan.require()
    assert "fits: " in printed(plan, config)


def test_a_7b_run_without_a_network(monkeypatch):
    monkeypatch.setattr("jaxeap.pipeline.planning.shapes.snapshot", lambda *_: pytest.fail("asked the Hub"))
    config = full_size()
    plan = plan_run(config)
    assert plan.work.questions == 5000 and plan.work.scored == 100
    assert plan.weights == weight_bytes(plan.config, "bfloat16") == 2 * plan.parameters
    # Every layer's keys and values, 30 x 2 x 32 heads x 128, for 16 rows of 320 + 4095 tokens: 69 blocks of 64.
    assert plan.cache_tokens == 16 * 69 * 64
    assert plan.answering.parts["key/value cache"] == 2 * 30 * 2 * 4096 * plan.cache_tokens
    per_token = 2 * (plan.parameters - plan.config.vocab_size * 4096)  # the embedding is looked up
    tokens = 2 * 5000 * (160 + plan.work.answer)
    assert 0.9 < plan.answering_flops / (tokens * per_token) < 1.2  # the rest is attention over the cache
    assert plan.problems == () and plan.known
    said = printed(plan, config)
    for text in ("6.91 G", "question_revision must be given", "150 TFLOP/s", "at most", "supposed"):
        assert text in said, text


def test_time_is_operations_or_bytes_over_the_supposed_rate():
    config = full_size()
    slow = plan_run(config)
    assert slow.rates.origin == "supposed"
    config.plan.teraflops, config.plan.gb_per_second = 300.0, 2000.0
    fast = plan_run(config)
    for one, other in zip(
        (*slow.answering_hours, slow.scoring_hours), (*fast.answering_hours, fast.scoring_hours), strict=True
    ):
        assert one == pytest.approx(2 * other)
    # 100 examples in batches of 8 are 13 batches, of both models 26.
    assert slow.scoring_flops == 26 * slow.scoring.flops
    assert slow.scoring_hours == pytest.approx(slow.scoring_flops / 150e12 / 3600)


def test_a_batch_that_is_too_large_is_refused_with_one_that_fits():
    config = full_size()
    config.sampling.batch_size = 64
    plan = plan_run(config)
    (problem,) = plan.problems
    assert problem.startswith("sampling.batch_size 64: ")
    fits = int(problem.partition("--config.sampling.batch_size=")[2].split()[0])
    with pytest.raises(ValueError, match=r"does not fit: sampling\.batch_size 64"):
        plan.require()
    config.sampling.batch_size = fits
    assert plan_run(config).problems == ()
    config.sampling.batch_size = 2 * fits
    assert plan_run(config).problems != ()


def test_a_cache_that_is_too_large_is_refused_with_one_that_fits():
    config = full_size()
    config.sampling.batch_size = 64
    (problem,) = plan_run(config).problems
    config.sampling.cache_tokens = int(problem.partition("--config.sampling.cache_tokens=")[2].split()[0])
    plan = plan_run(config)
    assert plan.problems == () and plan.rows[0] == 64
    assert plan.weights + plan.answering.total > 0.99 * plan.usable
    config.sampling.cache_tokens += 4096
    (problem,) = plan_run(config).problems
    assert "cache_tokens=" in problem
    config.sampling.cache_tokens = 4096
    with pytest.raises(ValueError, match=r"cache_tokens \(4096\) has no room for the longest answer"):
        plan_run(config)


def test_a_cache_without_room_for_one_answer_is_not_proposed():
    config = full_size()
    config.plan.device_gb, config.attribution.batch_size = 16.6, 1
    (problem,) = (each for each in plan_run(config).problems if each.startswith("sampling"))
    here, _, elsewhere = problem.partition(", or cut the weights over ")
    assert here.endswith("even one row does not fit: lower sampling.max_new_tokens") and "cache_tokens" not in here
    assert elsewhere.startswith("2 devices with --config.mesh.fsdp=1 --config.mesh.tensor=2")


def test_samples_are_written_and_counted():
    config = full_size()
    config.sampling.temperature = 1.0
    once = plan_run(config)
    config.sampling.samples = 4
    plan = plan_run(config)
    assert plan.answering_flops == pytest.approx(4 * once.answering_flops)
    assert plan.answering_hours[0] == pytest.approx(4 * once.answering_hours[0])
    assert plan.scoring_flops == once.scoring_flops


def test_weights_that_do_not_fit_are_to_be_cut_over_devices():
    config = full_size()
    config.plan.device_gb = 12.0
    config.sampling.batch_size = config.attribution.batch_size = 1
    config.sampling.max_new_tokens = 64
    (problem,) = plan_run(config).problems
    assert "the weights alone take 13.8 of 11.0 usable GB" in problem
    for key in ("fsdp", "tensor"):
        config.mesh[key] = int(problem.partition(f"--config.mesh.{key}=")[2].split()[0])
    plan = plan_run(config)
    assert plan.problems == ()
    assert plan.weights < USABLE * 12 * GB
    assert any("wait for no communication" in note for note in plan.notes)


def test_a_mesh_is_proposed_with_all_that_fits_the_run_to_it():
    config = full_size()
    config.plan.device_gb = 12.0
    config.sampling.batch_size, config.sampling.max_new_tokens = 64, 2048
    (problem,) = plan_run(config).problems
    proposed = dict(re.findall(r"--config\.([\w.]+)=(\d+)", problem))
    assert {"mesh.fsdp", "mesh.tensor", "sampling.cache_tokens"} <= set(proposed)
    config.update_from_flattened_dict({key: int(value) for key, value in proposed.items()})
    assert plan_run(config).problems == ()


def test_groups_of_devices_share_out_what_is_scored_and_answered():
    config = full_size()
    one = plan_run(config)
    config.mesh.data = 4
    four = plan_run(config)
    assert four.scoring.total == pytest.approx(one.scoring.total / 4, rel=0.2)
    assert four.scoring.parts["scores"] == one.scoring.parts["scores"] / 4
    assert four.scoring_flops == pytest.approx(one.scoring_flops)
    assert four.scoring_hours == pytest.approx(one.scoring_hours / 4)
    assert four.weights == one.weights
    assert four.answering.parts["key/value cache"] == one.answering.parts["key/value cache"] / 4
    assert four.answering_flops == pytest.approx(one.answering_flops)
    assert four.answering_hours[0] < 0.9 * one.answering_hours[0]
    assert not any("not shared out" in note for note in four.notes)
    config.sampling.batch_size += 1
    whole = plan_run(config)
    assert any("answers are not shared out by the 4 groups" in note for note in whole.notes)
    assert whole.answering.total > one.answering.total
    config.sampling.batch_size -= 1
    assert "mesh data 4 x fsdp 1 x tensor 1" in printed(four, config)
    config.attribution.batch_size = 6
    uneven = plan_run(config)
    assert any("batches of 6 rows are filled up to 8 for 4 groups" in note for note in uneven.notes)
    assert uneven.scoring == four.scoring


def test_a_memory_that_is_only_supposed_refuses_nothing(monkeypatch):
    config = full_size()
    config.plan.device_gb = None
    config.sampling.batch_size = 256
    plan = plan_run(config)
    assert plan.problems and not plan.known
    plan.require()
    assert "may not fit" in printed(plan, config)


def test_memory_is_as_set_else_as_the_device_says(monkeypatch):
    config = full_size()
    assert (plan_run(config).device_bytes, plan_run(config).known) == (80e9, True)

    class Device:
        device_kind = "a device"

        def memory_stats(self):
            return {"bytes_limit": 17_000_000_000}

    monkeypatch.setattr("jax.local_devices", lambda: [Device()])
    config.plan.device_gb = None
    plan = plan_run(config)
    assert (plan.device_bytes, plan.known) == (17e9, True)
    assert plan.problems


def test_a_folder_with_nothing_but_config_json_is_enough(tmp_path):
    attributes = {
        "model_type": "qwen2",
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 100,
    }
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(attributes))
    write_questions(tmp_path / "q.jsonl", [Question(str(n), f"{n}?", "1") for n in range(9)])
    config = full_size()
    config.base = config.tuned = str(tmp_path / "model")
    config.questions = str(tmp_path / "q.jsonl")
    plan = plan_run(config)
    assert isinstance(plan.config, ModelConfig) and plan.config.embed_dim == 64
    assert plan.work.questions == 9
    assert any("prompts were not counted" in note for note in plan.notes)


@pytest.mark.parametrize("method", ["exact", "eap_ig_inputs"])
def test_other_methods_are_planned_as_what_they_run(method):
    config = full_size()
    config.attribution.ablation = "mean"  # The paths that start at an embedding of zeros are refused.
    eap = plan_run(config)
    config.attribution.method, config.attribution.ablation = method, "mean"
    plan = plan_run(config)
    if method == "exact":
        assert plan.scoring == eap.scoring
        assert any("method exact" in note for note in plan.notes)
    else:
        assert plan.scoring.flops > 3 * eap.scoring.flops
