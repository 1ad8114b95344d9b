"""Published records of every set, from files and from a stand-in for the `datasets` library."""

import json
import sys
import types

import pytest

from jaxeap.tasks.grading import GRADERS
from jaxeap.tasks.question_sets import MATH_SUBJECTS, QUESTION_SETS, load_question_set, read_question_set
from jaxeap.tasks.questions import Question, read_questions, write_questions

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RECORDS = {
    "gsm8k": (
        {"question": "How many? ", "answer": "3 * 4 = <<3*4=12>>12 eggs.\n#### 12"},
        Question("1", "How many?", "12", source="gsm8k"),
    ),
    "math": (
        {"problem": "P", "level": "Level 5", "type": "Geometry", "solution": r"\boxed{1}, so \boxed{\frac{1}{2}}"},
        Question("1", "P", r"\frac{1}{2}", "5", "Geometry", "math"),
    ),
    "math500": (
        {"problem": "P", "solution": "S", "answer": "x", "subject": "Algebra", "level": 2, "unique_id": "t/1.json"},
        Question("t/1.json", "P", "x", "2", "Algebra", "math500"),
    ),
    "college_math": (
        {"data_source": "c.Calculus", "question": "Q", "answer": "$A$", "data_topic": "calculus"},
        Question("1", "Q", "$A$", subject="calculus", source="college_math"),
    ),
    "minerva_math": (
        {"problem": "P", "solution": r"\boxed{4.5e33} ergs", "type": "Astronomy", "idx": 0},
        Question("0", "P", "4.5e33", subject="Astronomy", source="minerva_math"),
    ),
    "olympiadbench": (
        {"id": 16, "subfield": "Algebra", "context": "Let x.", "question": "Q", "final_answer": ["$1$", "$2$"]},
        Question("16", "Let x.\nQ", "$1$, $2$", subject="Algebra", source="olympiadbench"),
    ),
    "aime24": (
        {"id": 60, "problem": "P", "answer": "033"},
        Question("60", "P", "33", source="aime24"),
    ),
    "amc23": ({"id": 0, "question": "Q", "answer": 27.0}, Question("0", "Q", "27", source="amc23")),
    "arc_challenge": (
        {"id": "M_1", "question": "Which?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"},
        Question("M_1", "Which?\n(A) a\n(B) b", "B", source="arc_challenge"),
    ),
    "boolq": (
        {"question": "is it so", "passage": "It is.", "answer": True},
        Question("1", "It is.\nQuestion: is it so? Answer yes or no.", "yes", source="boolq"),
    ),
}


def _write(path, *records):
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def test_every_set_is_tried_and_has_a_grader():
    assert RECORDS.keys() == QUESTION_SETS.keys()
    assert {entry.grader for entry in QUESTION_SETS.values()} <= set(GRADERS)


@pytest.mark.parametrize("name", RECORDS)
def test_the_published_fields(tmp_path, name):
    record, expected = RECORDS[name]
    questions = read_question_set(name, _write(tmp_path / "q.jsonl", record))
    assert questions == [expected]
    write_questions(tmp_path / "again.jsonl", questions)
    assert read_questions(tmp_path / "again.jsonl") == questions


def test_arc_as_its_authors_publish_it(tmp_path):
    question = {"stem": "Which?", "choices": [{"text": "a", "label": "1"}, {"text": "b", "label": "2"}]}
    path = _write(tmp_path / "q.jsonl", {"id": "M_1", "question": question, "answerKey": "2"})
    assert read_question_set("arc_challenge", path) == [
        Question("M_1", "Which?\n(1) a\n(2) b", "2", source="arc_challenge")
    ]


@pytest.mark.parametrize(
    ("name", "record", "message"),
    [
        ("gsm8k", {"question": "Q", "answer": "12"}, r"line 1: not a record of gsm8k: .* no '####'"),
        ("math", {"problem": "P", "solution": "none"}, r"no \\boxed"),
        ("math500", {"problem": "P"}, r"no key 'answer' \(keys found: problem\)"),
        ("college_math", {"answer": "1"}, "no key 'question or problem'"),
        ("amc23", {"question": "Q", "answer": 27.5}, "not a record of amc23"),
        ("boolq", {"question": "Q", "passage": "P", "answer": "true"}, "'answer' should be true or false"),
        ("olympiadbench", {"question": "Q", "final_answer": "2"}, "should be a list of texts"),
        ("arc_challenge", {"question": "Q", "answerKey": "B"}, "'choices' should hold"),
        ("math500", {"problem": " ", "answer": "1"}, "the question is empty"),
        ("math500", {"problem": ["P"], "answer": "1"}, "'problem' should be text or a number"),
    ],
)
def test_a_record_of_another_kind_is_named_with_its_key(tmp_path, name, record, message):
    with pytest.raises(ValueError, match=message):
        read_question_set(name, _write(tmp_path / "q.jsonl", record))


def test_repeated_ids_no_records_and_unknown_sets(tmp_path):
    path = _write(tmp_path / "q.jsonl", *[RECORDS["amc23"][0]] * 2)
    with pytest.raises(ValueError, match="line 2: id '0' comes twice"):
        read_question_set("amc23", path)
    with pytest.raises(ValueError, match="amc23: there are no records"):
        read_question_set("amc23", _write(tmp_path / "empty.jsonl"))
    with pytest.raises(ValueError, match="unknown question set 'mathe'; known sets: gsm8k, math, "):
        read_question_set("mathe", path)


@pytest.mark.parametrize(
    ("name", "count", "first", "levels"),
    [
        ("gsm8k", 660, "18", {""}),
        ("math500", 250, r"\left( 3, \frac{\pi}{2} \right)", set("12345")),
        ("college_math", 600, "$10-4 n$", {""}),
        ("minerva_math", 130, "1.6", {""}),
        ("olympiadbench", 100, "2", {""}),
        ("aime24", 15, "204", {""}),
        ("amc23", 20, "27", {""}),
    ],
)
def test_real_files_are_read_whole(shared_data_dir, name, count, first, levels):
    questions = read_question_set(name, shared_data_dir / f"{name}.jsonl")
    assert len(questions) == len({question.id for question in questions}) == count
    assert questions[0].answer == first
    assert {question.level for question in questions} == levels
    if name not in ("gsm8k", "aime24", "amc23"):
        assert all(question.subject for question in questions)


@pytest.fixture
def library(monkeypatch):
    """A stand-in for the library that gives two records a subset, and the calls that were made."""
    calls = []

    def load_dataset(repository, subset, *, split, revision):
        calls.append((repository, subset, split, revision))
        if split == "none":
            raise ConnectionError("no network")
        return [
            {"problem": f"{subset} {n}", "solution": rf"\boxed{{{n}}}", "type": subset, "level": "Level 1"}
            for n in (1, 2)
        ]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return calls


def test_a_set_of_several_parts_comes_whole_from_the_hub(library):
    questions = load_question_set("math", COMMIT)
    assert library == [("EleutherAI/hendrycks_math", subject, "test", COMMIT) for subject in MATH_SUBJECTS]
    assert questions[3] == Question(
        "counting_and_probability/2", "counting_and_probability 2", "2", "1", "counting_and_probability", "math"
    )
    assert len(questions) == len({question.id for question in questions}) == 14


def test_what_keeps_a_set_from_coming_is_said_with_the_remedy(library, monkeypatch):
    for revision in (None, "main", COMMIT[:10]):
        with pytest.raises(ValueError, match=r"math: found .* pin it by its full commit hash"):
            load_question_set("math", revision)
    with pytest.raises(
        ValueError, match=r"split none, .*ConnectionError: no network\); without a network, give a file"
    ):
        load_question_set("math", COMMIT, "none")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"'datasets' is not installed.*requirements/data\.txt"):
        load_question_set("math", COMMIT)
