"""How much there is to do: counted where the questions are here, supposed where they are not."""

import pytest

from jaxeap.pipeline.planning.workload import PUBLISHED_SIZES, workload
from jaxeap.pipeline.questions import choose_questions
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
