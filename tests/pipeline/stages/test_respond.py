"""What the stage makes of a model's tokens, with a stand-in for the model."""

import shutil
from pathlib import Path

import pytest

from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages.respond import RESPOND, questions_of, respond, responses_of
from jaxeap.tasks.tokenizer import arithmetic_tokenizer

EOS = 1


@pytest.fixture
def run(config, console, tmp_path) -> StageRun:
    return StageRun(restricted(config, (*RESPOND.reads, *RESPOND.tuning)), tmp_path / "respond", {}, console)


@pytest.fixture
def asked(monkeypatch) -> list[list[int]]:
    """Replaces the model: question n is answered by the digits of n, ended where n is even. Collects the ids asked."""
    asked = []

    def generate(model, prompts, *, ids, max_new_tokens, **options):
        assert len(prompts) == len(ids) == options["batch_size"]
        asked.append(list(ids))
        digits = arithmetic_tokenizer().encode
        return [digits(str(id_)) + ([EOS] if id_ % 2 == 0 else []) for id_ in ids]

    monkeypatch.setattr("jaxeap.pipeline.stages.respond.generate", generate)
    return asked


def test_responses_are_in_the_order_of_the_questions_and_know_whether_they_ended(run, asked):
    respond(run)
    ids = [question.id for question in questions_of(run.folder)]
    assert len(ids) == 11
    for role in ("base", "tuned"):
        responses = responses_of(run.folder, role)
        assert [response.question_id for response in responses] == ids
        assert [response.text for response in responses] == [str(n) for n in range(11)]
        assert [response.finished for response in responses] == [n % 2 == 0 for n in range(11)]
        assert responses[4].answer_tokens == (*arithmetic_tokenizer().encode("4"), EOS)
    files = sorted(path.name for path in run.folder.iterdir())
    assert files == ["base.jsonl", "questions.jsonl", "tuned.jsonl", "vocabulary.json"]
    assert asked == 2 * [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 10]], "the last batch is filled up to the common size"


def test_a_broken_tuned_model_is_found_before_the_base_has_answered(config, console, tmp_path, asked):
    config.tuned = str(shutil.copytree(config.tuned, tmp_path / "tuned"))
    weights = Path(config.tuned) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    settings = restricted(config, (*RESPOND.reads, *RESPOND.tuning))
    with pytest.raises(ValueError, match=r"tuned/model\.safetensors is truncated or corrupt"):
        respond(StageRun(settings, tmp_path / "respond", {}, console))
    assert asked == []


def test_prompts_are_the_template_around_the_questions(run, asked):
    respond(run)
    tokenizer = arithmetic_tokenizer()
    for question, response in zip(questions_of(run.folder), responses_of(run.folder, "base"), strict=True):
        assert response.prompt_tokens == tuple(tokenizer.encode(question.question))


def test_answers_of_an_interrupted_run_are_not_asked_for_again(run, asked):
    respond(run)
    (run.folder / "tuned.jsonl").rename(run.folder / "all.jsonl")
    lines = (run.folder / "all.jsonl").read_text().splitlines(keepends=True)
    (run.folder / "all.jsonl").unlink()
    (run.folder / "tuned_parts").mkdir()
    (run.folder / "tuned_parts" / "00000.jsonl").write_text("".join(lines[4:8]))
    asked.clear()
    respond(run)
    assert asked == [[0, 1, 2, 3], [8, 9, 10, 10]]
    assert (run.folder / "tuned.jsonl").read_text() == "".join(lines)
