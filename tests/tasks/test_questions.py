"""Questions from JSON lines, in our own field names and in those of public sets."""

import json

import pytest

from jaxeap.tasks.questions import Question, read_questions, write_questions


def _write(path, *records):
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def test_round_trip(tmp_path):
    questions = [
        Question("37+58", "37+58=", "590", level="carry", subject="addition", source="arithmetic"),
        Question("b", " What is\n\\frac{1}{2}? ", "½"),
    ]
    write_questions(tmp_path / "q.jsonl", questions)
    assert read_questions(tmp_path / "q.jsonl") == questions


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"question": "1+1?", "answer": "2"}, Question("1", "1+1?", "2")),
        (  # GSM8K
            {"question": "How many?", "answer": "3 * 4 = <<3*4=12>>12 eggs.\n#### 12", "idx": 0},
            Question("0", "How many?", "12"),
        ),
        (  # MATH-500
            {
                "problem": "P",
                "solution": "S",
                "answer": "\\pi",
                "subject": "Algebra",
                "level": 2,
                "unique_id": "t/1.json",
            },
            Question("t/1.json", "P", "\\pi", level="2", subject="Algebra"),
        ),
        (  # OlympiadBench
            {"id": 1606, "subfield": "Combinatorics", "context": None, "question": "Q", "final_answer": ["2"]},
            Question("1606", "Q", "2", subject="Combinatorics"),
        ),
        (  # AMC: both names, and a number for an answer
            {"id": 0, "problem": "P", "question": "Q", "answer": 27.0},
            Question("0", "Q", "27"),
        ),
        ({"id": "", "question": "Q", "answer": 0.5}, Question("1", "Q", "0.5")),
        (  # College Math
            {"data_source": "college_math.Calculus", "question": "Q", "answer": "A", "data_topic": "calculus"},
            Question("1", "Q", "A", subject="calculus", source="college_math.Calculus"),
        ),
    ],
)
def test_the_field_names_of_public_sets(tmp_path, record, expected):
    assert read_questions(_write(tmp_path / "q.jsonl", record)) == [expected]


def test_missing_ids_are_line_numbers(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "a", "answer": "1"}\n\n{"question": "b", "answer": "2"}\n', encoding="utf-8")
    assert [question.id for question in read_questions(path)] == ["1", "3"]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            [{"question": "a", "answer": "1"}, {"question": "b"}],
            r"line 2: no answer .*answer, final_answer.* has question",
        ),
        ([{"answer": "1"}], r"line 1: no question .*question, problem.* has answer"),
        ([{"question": "a", "answer": " "}], "line 1: no answer"),
        ([{"question": "a", "answer": None}], "line 1: no answer"),
        ([{}], "line 1: no question .* has none"),
        (
            [{"problem": ["a", "b"], "answer": "1"}],
            r"line 1, key 'problem': expected text or a number, found \['a', 'b'\]",
        ),
        ([{"question": "a", "answer": True}], "key 'answer': expected text or a number, found True"),
        (
            [{"id": 7, "question": "a", "answer": "1"}, {"id": "7", "question": "b", "answer": "2"}],
            "line 2: id '7' .* line 1",
        ),
        ([], "holds no questions"),
    ],
)
def test_a_bad_file_is_one_clear_error(tmp_path, records, message):
    with pytest.raises(ValueError, match=message):
        read_questions(_write(tmp_path / "q.jsonl", *records))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.jsonl"):
        read_questions(tmp_path / "gone.jsonl")


@pytest.mark.parametrize(
    ("name", "count"),
    [("gsm8k", 660), ("math500", 250), ("college_math", 600), ("aime24", 15), ("amc23", 20)],
)
def test_real_sets_are_read_whole(shared_data_dir, name, count):
    questions = read_questions(shared_data_dir / f"{name}.jsonl")
    assert len(questions) == count
    assert all(question.answer and "####" not in question.answer for question in questions)
