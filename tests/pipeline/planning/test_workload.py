"""How much there is to do: counted where the questions are here, supposed where they are not."""

import dataclasses

import pytest

from jaxeap.pipeline.inputs.questions import choose_questions
from jaxeap.pipeline.planning import plan_run
from jaxeap.pipeline.planning.workload import PUBLISHED_SIZES, workload
from jaxeap.sampling.batching import padded_length
from jaxeap.tasks.question_sets import QUESTION_SETS
from jaxeap.tasks.questions import Question, write_questions
from jaxeap.tasks.tokenizer import arithmetic_tokenizer, encode_prompt


def test_generated_questions_are_counted(config):
    asked = choose_questions(config.questions, (), 11, 0)
    lengths = [len(encode_prompt(arithmetic_tokenizer(), question.question)) for question in asked]
    work = workload(config)
    assert work.questions == 11
    assert work.prompt == pytest.approx(sum(lengths) / 11)
    assert work.longest_prompt == max(lengths)
    assert work.scored_length == padded_length(max(lengths) + 5 - 1)


def test_a_file_and_what_is_left_of_it(config, tmp_path):
    write_questions(tmp_path / "q.jsonl", [Question(str(n), "1+1=", "2") for n in range(9)])
    config.questions, config.num_questions = str(tmp_path / "q.jsonl"), None
    config.selection.max_pairs, config.selection.alpha = 4, 0.5
    work = workload(config)
    assert (work.questions, work.scored, work.prompt, work.cut) == (9, 4, 4.0, 2)
    config.questions = str(tmp_path / "none.jsonl")
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl: no such file of questions; .*arithmetic:test"):
        workload(config)
    config.questions = str(tmp_path)
    with pytest.raises(ValueError, match="a folder; give a file of questions"):
        workload(config)


def test_a_set_on_the_hub_is_supposed_and_said_to_be(config):
    config.questions, config.num_questions = "hub:gsm8k", None
    config.sampling.max_new_tokens = 4096
    work = workload(config)
    assert (work.questions, work.prompt, work.longest_prompt, work.answer, work.limit) == (1319, 160, 320, 512, 4096)
    assert len(work.notes) == 2 and all("supposed" in note for note in work.notes)
    config.num_questions = 100
    assert workload(config).questions == 100
    config.num_questions = 5000
    assert workload(config).questions == 1319


def test_every_set_has_a_size():
    assert PUBLISHED_SIZES.keys() == QUESTION_SETS.keys()


def test_batches_to_score_are_counted_by_their_length(config):
    """Prompts of 3 to 9 tokens, 2 counted tokens of each answer, three at once: lengths 10 + 9 + 8, 7 + 6 + 5, 4."""
    work = dataclasses.replace(workload(config), prompts=(9, 3, 8, 4, 7, 5, 6), cut=2, scored=7)
    assert work.buckets(3) == ((10, 1, 27), (7, 1, 18), (4, 1, 4))
    # Twice as many questions as were counted are supposed to be like them.
    assert work.buckets(7) == ((10, 1, 49),)
    more = dataclasses.replace(work, scored=18)
    assert more.buckets(3) == ((10, 2, 54), (7, 2, 36), (4, 2, 8))
    unknown = dataclasses.replace(work, prompts=())
    assert unknown.buckets(3) == ((unknown.scored_length, 3, None),)


def test_padding_is_what_holds_no_token(config):
    plan = plan_run(config)
    lengths = sorted((prompt + 4 for prompt in plan.work.prompts), reverse=True)
    places = sum(3 * padded_length(lengths[start]) for start in range(0, 11, 3))
    assert plan.padding == pytest.approx(1 - sum(lengths) / places)
    assert sum(bucket.batches for bucket in plan.buckets) == 4
    assert plan.scoring_flops == pytest.approx(2 * plan.scoring.flops * places / (3 * plan.work.scored_length))
