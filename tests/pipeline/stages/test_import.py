"""The stage that asks the models, where their answers come in a file instead."""

import json

import pytest

from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages.respond import RESPOND, questions_of, recorded_verdicts_of, respond, responses_of
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.tasks.tokenizer import arithmetic_tokenizer

EOS = 1


@pytest.fixture
def records():
    """Six questions; base answers in 3 tokens, tuned in 3 where the number is even and in 2 where it is odd."""
    tokenizer = arithmetic_tokenizer()
    return [
        {
            "idx": n,
            "question": f"{n}+5=",
            "gt": str(n + 5),
            "base_prompt_tokens": tokenizer.encode(f"{n}+5="),
            "base_answer_tokens": [*tokenizer.encode(str(n + 5)), EOS],
            "base_score": True,
            "rl_prompt_tokens": tokenizer.encode(f"{n}+5="),
            "rl_answer_tokens": tokenizer.encode(f"{n + 5}{'0' * (n % 2 == 0)}"),
            "rl_score": n != 14,
        }
        for n in range(10, 16)
    ]


@pytest.fixture
def imported(config, records, tmp_path):
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records))
    config.questions, config.responses, config.num_questions = str(path), "imported", None
    return config


def stage_run(config, console, tmp_path) -> StageRun:
    return StageRun(restricted(config, (*RESPOND.reads, *RESPOND.tuning)), tmp_path / "respond", {}, console)


def test_answers_are_taken_from_the_file(imported, console, tmp_path, records):
    run = stage_run(imported, console, tmp_path)
    respond(run)
    assert [(q.id, q.answer) for q in questions_of(run.folder)] == [(str(n), str(n + 5)) for n in range(10, 16)]
    base, tuned = responses_of(run.folder, "base"), responses_of(run.folder, "tuned")
    assert [list(response.answer_tokens) for response in tuned] == [record["rl_answer_tokens"] for record in records]
    assert base[0].text == "15" and base[0].finished and not tuned[0].finished
    assert [v.correct for v in recorded_verdicts_of(run.folder, "tuned")] == [True] * 4 + [False, True]
    assert "base: 6 answers imported, 6 of them ended by the model itself" in console.file.getvalue()


def test_a_draw_takes_the_answers_of_the_drawn_questions(imported, console, tmp_path):
    imported.num_questions = 3
    run = stage_run(imported, console, tmp_path)
    respond(run)
    ids = [question.id for question in questions_of(run.folder)]
    assert len(set(ids)) == 3
    for items in (responses_of(run.folder, "base"), recorded_verdicts_of(run.folder, "tuned")):
        assert [item.question_id for item in items] == ids


def test_a_template_is_what_the_prompts_must_be(imported, console, tmp_path):
    imported.template = "{question} "
    with pytest.raises(ValueError, match="question '10', base model: the prompt is not what the template makes"):
        respond(stage_run(imported, console, tmp_path))


def test_whole_run_on_imported_answers(imported, console, tmp_path, no_figures):
    imported.grader = "recorded"
    imported.selection.correctness = "both_right"
    imported.selection.delta = 0.3
    run_pipeline(imported, tmp_path / "w", console)
    selection = selection_of(tmp_path / "w" / "select")
    # 14 is wrong by its recorded grade; the odd ones' answers of 3 and 2 tokens differ by 1 / 2.5.
    assert selection.question_ids == ["10", "12"]
    assert selection.account[0] == ("both_right", 1, 5)
    assert json.loads((tmp_path / "w" / "metrics.json").read_text())["contrast"]["examples"] == 2
