"""Mathematical answers by value: reference solutions of real sets, hand cases, and processes that hang or die."""

import itertools
import os
import signal
import subprocess
import threading
import time

import pytest

pytest.importorskip("math_verify", reason="pip install -r requirements/math.txt")

from jaxeap.pipeline.execution.termination import Terminated, raising_on_sigterm
from jaxeap.tasks import math_grading
from jaxeap.tasks.jsonl import read_jsonl
from jaxeap.tasks.math_grading import ENDED, TIME_LIMIT, grade_math
from jaxeap.tasks.question_sets import read_question_set

RIGHT = [
    ("18", "She makes 9 * 2 = $18 every day.\n#### 18"),
    ("18", r"so it is $\boxed{18.0}$"),
    (r"\frac{1}{2}", r"that is \boxed{0.5}."),
    (r"\frac{1}{2}", r"<think>\boxed{3}</think> The result: \boxed{\dfrac{2}{4}}"),
    ("5", r"\boxed{x = 5}"),
    ("5", "The answer is 5 dollars."),
    ("3/4", "The answer is: 3/4 of a mile"),
    ("1000", "#### 1,000"),
    ("$25,100,55$", r"\boxed{\{55, 25, 100\}}"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(3,\pi/2)}"),
    ("$b^2-2b+1$", r"\boxed{(b-1)^2}"),
    (r"\text{east}", r"\boxed{\text{east}}"),
    ("4.5e33", r"\boxed{4.5 \times 10^{33}}"),
    ("42", "We find 6 times 7, which is 42"),
]
WRONG = [
    ("18", "#### 19"),
    (r"\frac{1}{2}", r"\boxed{\frac{1}{3}}"),
    ("2", r"\boxed{2n-2}"),
    ("3", r"\boxed{2 \text{ or } 3}"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(\pi/2, 3)}"),
    (r"\text{east}", r"\boxed{\text{west}}"),
    ("18", "I do not know."),
    ("18", ""),
    ("2", r"<think>\boxed{2}</think> It is \boxed{3}"),
]


def test_by_hand():
    judged = grade_math(RIGHT + WRONG, workers=1)
    for (reference, text), judgement in zip(RIGHT + WRONG, judged, strict=True):
        assert judgement.correct == ((reference, text) in RIGHT), (reference, text, judgement)
        assert judgement.note == ""
    extracted = [judgement.extracted for judgement in judged]
    assert extracted[:4] == ["18", "18.0", "0.5", r"\dfrac{2}{4}"]
    assert extracted[13] == "42"
    assert extracted[-3:-1] == [None, None]


def _solutions(folder, name, key):
    """(reference, whole worked solution) of every question of a set."""
    questions = read_question_set(name, folder / f"{name}.jsonl")
    texts = [record[key] for _, record in read_jsonl(folder / f"{name}.jsonl")]
    return [(question.answer, text) for question, text in zip(questions, texts, strict=True)]


@pytest.mark.parametrize("by_value", [False, True], ids=["as written", "by value alone"])
def test_reference_solutions_grade_themselves_right(shared_data_dir, monkeypatch, by_value):
    """By value alone: the comparison of the texts, which these would all pass, is taken out of the way."""
    answers = _solutions(shared_data_dir, "gsm8k", "answer")[:300] + _solutions(shared_data_dir, "math500", "solution")
    if by_value:
        monkeypatch.setattr(math_grading, "_judge_by_text", lambda reference, text: None)
        # Money in a box in dollars and thin spaces is the one form that is right by its text alone.
        answers = [(reference, text) for reference, text in answers if r"\!" not in reference]
    assert len(answers) >= 540
    judged = grade_math(answers)
    assert [answers[i] for i, judgement in enumerate(judged) if not judgement.correct] == []
    assert all(judgement.extracted for judgement in judged)


def test_corrupted_solutions_grade_wrong(shared_data_dir):
    gsm8k = [
        (reference, f"{text.rpartition('####')[0]}#### {int(reference.replace(',', '')) + 1}")
        for reference, text in _solutions(shared_data_dir, "gsm8k", "answer")[:200]
    ]
    # Another question's solution, where its answer is not by chance the same number.
    math500 = _solutions(shared_data_dir, "math500", "solution")
    shifted = [(reference, other) for (reference, _), (_, other) in itertools.pairwise(math500)]
    values = [reference.rpartition("=")[2].strip() for reference, _ in math500]
    different = [pair for pair, (a, b) in zip(shifted, itertools.pairwise(values), strict=True) if a != b]
    assert len(different) > 230
    judged = grade_math(gsm8k + different)
    assert [pair for pair, judgement in zip(gsm8k + different, judged, strict=True) if judgement.correct] == []


def test_a_hanging_parse_is_ended_and_the_next_answer_graded(monkeypatch, tmp_path):
    """A worker that sleeps where it is asked to, and ends where it is asked to."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import json, sys, time\n"
        "print(json.dumps({'ready': True}), flush=True)\n"
        "for line in sys.stdin:\n"
        "    text = json.loads(line)['candidates'][0]\n"
        "    if 'sleep' in text: time.sleep(60)\n"
        "    if 'end' in text: sys.exit(1)\n"
        "    if 'fail' in text: print(json.dumps({'error': 'MemoryError'}), flush=True)\n"
        "    else: print(json.dumps({'correct': True, 'extracted': text}), flush=True)\n"
    )
    monkeypatch.setattr(math_grading, "WORKER", script)
    monkeypatch.setattr(math_grading, "PATIENCE", 1.0)
    processes = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda *arguments, **options: processes.append(popen(*arguments, **options)) or processes[-1],
    )
    done = []
    start = time.monotonic()
    texts = ["first", "sleep", "second", "end", "third", "fail", "last"]
    judged = grade_math([("1", text) for text in texts], seconds=1.0, workers=1, advance=done.append)
    assert time.monotonic() - start < 30
    assert [judgement.correct for judgement in judged] == [True, False, True, False, True, False, True]
    assert [judgement.note for judgement in judged] == [
        "",
        TIME_LIMIT,
        "",
        ENDED,
        "",
        "MemoryError",
        "",
    ]
    assert done == [1] * 7
    assert len(processes) == 4, "one at first, and one after each that failed"
    assert all(process.poll() is not None for process in processes), "none is left behind"


def test_processes_end_at_once_when_the_run_is_terminated(monkeypatch, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(
        "import sys, time\n"
        "print('{\"ready\": true}', flush=True)\n"
        "for line in sys.stdin:\n"
        "    time.sleep(600)\n"
    )  # fmt: skip
    monkeypatch.setattr(math_grading, "WORKER", script)
    processes, popen = [], subprocess.Popen

    def started(*arguments, **options):
        process = popen(*arguments, **options)
        processes.append(process)
        if len(processes) == 1:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return process

    monkeypatch.setattr(subprocess, "Popen", started)
    start = time.monotonic()
    with pytest.raises(Terminated), raising_on_sigterm():
        grade_math([("1", "2")] * 20, seconds=60.0, workers=2)
    assert time.monotonic() - start < 30
    assert processes and all(process.poll() is not None for process in processes)


def test_a_real_hang_is_ended():
    """A tower of powers, which is multiplied out in C, where Python's own signals would not reach it."""
    tower = r"\boxed{9^{9^{9^{9}}}}"
    judged = grade_math([("1", tower), ("18", "#### 18.0")], seconds=2.0, workers=1)
    assert judged[0] == (False, "9^{9^{9^{9}}}", TIME_LIMIT)
    assert judged[1] == (True, "18.0", "")


def test_nothing_to_grade_starts_nothing(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert grade_math([]) == []
    assert grade_math([("18", "#### 18")])[0].correct, "text alone decides"


def test_a_worker_that_does_not_start_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "worker.py").write_text("raise SystemExit(1)")
    monkeypatch.setattr(math_grading, "WORKER", tmp_path / "worker.py")
    with pytest.raises(ValueError, match="the grading process does not start"):
        grade_math([("1", "2")])


def test_without_the_library_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install -r requirements/math\.txt"):
        grade_math([("1", "1")])
