import json

import pytest

from jaxeap.pipeline.inputs.questions import choose_questions
from jaxeap.tasks.arithmetic import arithmetic_problems, arithmetic_questions
from jaxeap.tasks.lab_tasks import LAB_TASKS
from jaxeap.tasks.questions import Question, write_questions


@pytest.fixture
def file(tmp_path) -> str:
    questions = [Question(str(n), f"{n}+1=", str(n + 1), level="odd" if n % 2 else "even") for n in range(20)]
    write_questions(tmp_path / "q.jsonl", questions)
    return str(tmp_path / "q.jsonl")


def ids(questions: list[Question]) -> list[str]:
    return [question.id for question in questions]


def test_all_in_their_order(file):
    assert ids(choose_questions(file, (), None, 0)) == [str(n) for n in range(20)]
    assert choose_questions("arithmetic:train", (), None, 0) == arithmetic_problems("train")


def test_levels_are_kept(file):
    assert ids(choose_questions(file, ("odd",), None, 0)) == [str(n) for n in range(1, 20, 2)]


def test_draw_depends_on_the_seed_and_begins_alike(file):
    drawn = choose_questions(file, ("odd",), 8, 3)
    assert choose_questions(file, ("odd",), 5, 3) == drawn[:5]
    assert len(set(ids(drawn))) == 8
    assert {question.level for question in drawn} == {"odd"}
    assert choose_questions(file, ("odd",), 8, 4) != drawn


def test_generated_questions_are_drawn_as_the_generator_draws_them():
    assert choose_questions("arithmetic:test", (), 9, 5) == arithmetic_questions("test", 9, 5)


def test_other_lab_tasks_draw_as_many_as_are_wanted():
    drawn = choose_questions("chain_of_thought:test", ("3_digits_2_carries",), 9, 5)
    assert drawn == LAB_TASKS["chain_of_thought"].questions("test", 9, 5, ["3_digits_2_carries"])
    with pytest.raises(ValueError, match="num_questions is not set; reversal:train has no end"):
        choose_questions("reversal:train", (), None, 0)


def test_files_in_published_fields_and_sets_from_the_hub(tmp_path, monkeypatch):
    record = {"problem": "P", "level": "Level 5", "type": "Geometry", "solution": "so \\boxed{7}"}
    (tmp_path / "math.jsonl").write_text(json.dumps(record))
    [question] = choose_questions(str(tmp_path / "math.jsonl"), ("5",), 1, 0, question_set="math")
    assert question == Question("1", "P", "7", "5", "Geometry", "math")
    asked = []

    def load(name, revision, split):
        asked.append((name, revision, split))
        return [question]

    monkeypatch.setattr("jaxeap.pipeline.inputs.questions.load_question_set", load)
    assert choose_questions("hub:math", (), None, 0, revision="abc", split="train") == [question]
    assert asked == [("math", "abc", "train")]


def test_too_many_and_unknown_levels_are_refused(file):
    with pytest.raises(ValueError, match=r"num_questions is 11; .* has 10 questions of these levels"):
        choose_questions(file, ("odd",), 11, 0)
    with pytest.raises(ValueError, match=r"question_levels has 'prime'; the levels in .* are even, odd"):
        choose_questions(file, ("prime",), None, 0)
