"""What the stage makes of a model's tokens, with a stand-in for the model."""

import dataclasses
import shutil
from pathlib import Path

import jax.numpy as jnp
import pytest

from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages import respond as respond_stage
from jaxeap.pipeline.stages.respond import RESPOND, questions_of, respond, responses_of, samples_in
from jaxeap.sampling.continuous import Answer
from jaxeap.tasks.tokenizer import arithmetic_tokenizer

EOS = 1


@pytest.fixture
def run(config, console, tmp_path) -> StageRun:
    return StageRun(restricted(config, (*RESPOND.reads, *RESPOND.tuning)), tmp_path / "respond", {}, console)


@pytest.fixture
def asked(monkeypatch) -> list[list[tuple[int, int]]]:
    """Replaces the model: question n is answered by the digits of n, then of the sample if it is not the first; ended
    where n is even. The last come first. Collects what each call was asked for."""
    asked = []

    def answers(model, prompts, options, *, stop_tokens, done, tokenizer, description):
        assert stop_tokens == (EOS,)
        wanted = [(n, k) for n in range(len(prompts)) for k in range(options.samples) if (n, k) not in done]
        asked.append(wanted)
        for place, sample in reversed(wanted):
            text = f"{place}{sample or ''}"
            ended = place % 2 == 0
            yield Answer(place, sample, arithmetic_tokenizer().encode(text) + [EOS] * ended, ended)

    monkeypatch.setattr("jaxeap.pipeline.stages.respond.answers", answers)
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
    assert asked == 2 * [[(n, 0) for n in range(11)]]


def test_further_samples_have_files_of_their_own_and_the_first_are_what_there_is_without_them(config, run, asked):
    respond(run)
    alone = (run.folder / "base.jsonl").read_bytes()
    assert samples_in(run.folder) == 1
    config.sampling.samples, config.sampling.temperature = 3, 1.0
    several = dataclasses.replace(
        run, config=restricted(config, (*RESPOND.reads, *RESPOND.tuning)), folder=run.folder.parent / "several"
    )
    respond(several)
    assert samples_in(several.folder) == 3
    assert (several.folder / "base.jsonl").read_bytes() == alone
    for sample in (1, 2):
        texts = [response.text for response in responses_of(several.folder, "tuned", sample)]
        assert texts == [f"{n}{sample}" for n in range(11)]
    assert "tuned: 33 answers, 18 of them ended by the model itself" in run.console.file.getvalue()


def test_the_text_of_an_answer_ends_before_a_stop_string_and_its_tokens_with_it(config, run, monkeypatch):
    config.sampling.stop_strings = ("+3",)
    tokens = arithmetic_tokenizer().encode("12+3")

    def answers(model, prompts, options, *, tokenizer, **rest):
        assert options.stop_strings == ("+3",) and tokenizer.decode(tokens) == "12+3"
        return iter([Answer(place, 0, tokens, True) for place in range(len(prompts))])

    monkeypatch.setattr("jaxeap.pipeline.stages.respond.answers", answers)
    respond(dataclasses.replace(run, config=restricted(config, (*RESPOND.reads, *RESPOND.tuning))))
    response = responses_of(run.folder, "base")[0]
    assert (response.text, response.answer_tokens, response.finished) == ("12", tuple(tokens), True)


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


def test_answers_of_an_interrupted_run_are_not_asked_for_again(run, asked, monkeypatch):
    respond(run)
    whole = (run.folder / "tuned.jsonl").read_bytes()
    (run.folder / "tuned.jsonl").unlink()
    asked.clear()
    with monkeypatch.context() as patched:
        patched.setattr("jaxeap.pipeline.stages.respond.write_responses", interrupt)
        with pytest.raises(KeyboardInterrupt):
            respond(run)
    parts = sorted((run.folder / "tuned_parts").iterdir())
    assert [len(part.read_text().splitlines()) for part in parts] == [4, 4, 3], "a part is as large as a batch"
    parts[1].unlink()
    respond(run)
    assert asked == [[(n, 0) for n in range(11)], [(n, 0) for n in (3, 4, 5, 6)]]
    assert (run.folder / "tuned.jsonl").read_bytes() == whole
    assert not (run.folder / "tuned_parts").exists()


def test_a_device_that_runs_out_of_memory_writes_fewer_answers_at_once(config, run, asked, monkeypatch):
    respond(run)
    whole = (run.folder / "base.jsonl").read_bytes()
    (run.folder / "base.jsonl").unlink()
    stand_in, seen = respond_stage.answers, []

    def limited(model, prompts, options, **rest):
        seen.append((options.batch_size, options.cache_tokens))
        for number, answer in enumerate(stand_in(model, prompts, options, **rest)):
            if options.batch_size > 1 and number == 3:  # Not yet a part's worth of answers, and they are not lost.
                jnp.zeros((2**50,), jnp.uint8).block_until_ready()
            yield answer

    monkeypatch.setattr(respond_stage, "answers", limited)
    asked.clear()
    config.sampling.cache_tokens = 400
    settings = restricted(config, (*RESPOND.reads, *RESPOND.tuning))
    respond(dataclasses.replace(run, config=settings))
    assert seen[:2] == [(4, 400), (2, 200)] and seen[2][0] == 1
    assert asked == [[(n, 0) for n in range(11)], [(n, 0) for n in range(8)], [(n, 0) for n in range(5)]]
    assert (run.folder / "base.jsonl").read_bytes() == whole
    said = run.console.file.getvalue()
    assert "answering: a device ran out of memory; going on with 2 rows at once instead of 4" in said


def interrupt(*arguments):
    raise KeyboardInterrupt
