"""Stage 1: both models answer all questions, or their answers are read from a file."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxeap.models.load import check_files
from jaxeap.pipeline.artifacts import first_free, read_json, write_json
from jaxeap.pipeline.batches import unfinished_batches
from jaxeap.pipeline.model_source import ModelSource
from jaxeap.pipeline.pair import ROLES, load_next, mesh_of, require_same_architecture, sources_of
from jaxeap.pipeline.prompts import pair_prompts, prompt_tokens
from jaxeap.pipeline.questions import choose_questions, draw_questions
from jaxeap.pipeline.settings import IMPORTED, QUESTION
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stop_tokens import stop_tokens
from jaxeap.pipeline.vocabulary import VocabularyFindings, check_vocabularies
from jaxeap.sampling.generate import generate
from jaxeap.tasks.grading import Verdict, read_verdicts, write_verdicts
from jaxeap.tasks.imported import Imported, read_imported, require_tokens_of
from jaxeap.tasks.questions import Question, read_questions, write_questions
from jaxeap.tasks.responses import Response, read_responses, write_responses
from jaxeap.tasks.selection import Role
from jaxeap.tasks.tokenizer import load_tokenizer

if TYPE_CHECKING:
    import transformers

QUESTIONS = "questions.jsonl"
VOCABULARY = "vocabulary.json"


def questions_of(folder: Path) -> list[Question]:
    """The questions that were asked, from the finished stage's folder."""
    return read_questions(folder / QUESTIONS)


def responses_of(folder: Path, role: Role) -> list[Response]:
    """One model's responses from the finished stage's folder, in the order of the questions."""
    return read_responses(folder / f"{role}.jsonl")


def vocabulary_of(folder: Path) -> VocabularyFindings:
    """What was found about the models' vocabularies, from the finished stage's folder."""
    return VocabularyFindings(**{kind: tuple(found) for kind, found in read_json(folder / VOCABULARY).items()})


def recorded_verdicts_of(folder: Path, role: Role) -> list[Verdict]:
    """The grades that came with imported responses, from the finished stage's folder.

    Raises:
      ValueError: the file of responses held none.
    """
    path = folder / f"{role}_recorded.jsonl"
    if not path.is_file():
        raise ValueError(f"the imported responses have no {role} scores; set config.grader to one that grades them")
    return read_verdicts(path)


def respond(run: StageRun) -> None:
    """Writes questions.jsonl, vocabulary.json, base.jsonl and tuned.jsonl.

    Until a model has answered all, its answers lie in parts.
    """
    config, sources = run.config, sources_of(run.config)
    require_same_architecture(sources["base"].model_folder, sources["tuned"].model_folder)
    vocabulary = check_vocabularies(config.base, config.tuned, config.adapter_base)
    vocabulary.require()
    for source in sources.values():  # Both before the first answers: the second's broken file would cost hours.
        check_files(source.folder, source.adapted)
    if described := vocabulary.describe():
        run.say(described)
    for role, source in sources.items():
        if source.adapted is not None:
            run.say(f"{role} is the adapter {source}")
    write_json(run.folder / VOCABULARY, dataclasses.asdict(vocabulary))
    tokenizers = {role: load_tokenizer(sources[role].tokenizer_folder) for role in ROLES}
    if config.responses == IMPORTED:
        _import(run, sources, tokenizers)
        return
    questions = choose_questions(
        config.questions,
        config.question_levels,
        config.num_questions,
        config.question_seed,
        question_set=config.question_set,
        revision=config.question_revision,
        split=config.question_split,
    )
    prompts = pair_prompts(tokenizers["base"], tokenizers["tuned"], questions, config.template, config.chat_template)
    write_questions(run.folder / QUESTIONS, questions)
    for role in ROLES:
        parts, result = run.folder / f"{role}_parts", run.folder / f"{role}.jsonl"
        if not result.is_file():
            _answer_rest(run, role, sources[role], tokenizers[role], questions, prompts, parts)
            answers = {response.question_id: response for response in _read_parts(parts)}
            write_responses(result, [answers[question.id] for question in questions])
            finished = sum(response.finished for response in answers.values())
            run.say(f"{role}: {len(answers)} answers, {finished} of them ended by the model itself")
        shutil.rmtree(parts, ignore_errors=True)


def _import(
    run: StageRun, sources: Mapping[Role, ModelSource], tokenizers: Mapping[Role, transformers.PreTrainedTokenizerBase]
) -> None:
    """Writes what `respond` writes, and base_recorded.jsonl and tuned_recorded.jsonl where the file holds grades."""
    config = run.config
    imported = read_imported(config.questions)
    asked = draw_questions(
        imported.questions, config.questions, config.question_levels, config.num_questions, config.question_seed
    )
    for role in ROLES:
        tokenizer = tokenizers[role]
        _require_prompts(run, role, tokenizer, imported)
        responses = imported.responses(role, tokenizer, stop_tokens(sources[role].generation_folder, tokenizer))
        by_id = {response.question_id: response for response in responses}
        write_responses(run.folder / f"{role}.jsonl", [by_id[question.id] for question in asked])
        finished = sum(by_id[question.id].finished for question in asked)
        run.say(f"{role}: {len(asked)} answers imported, {finished} of them ended by the model itself")
        if all(answer.correct is not None for answer in imported.answers[role]):
            verdicts = {verdict.question_id: verdict for verdict in imported.verdicts(role)}
            write_verdicts(run.folder / f"{role}_recorded.jsonl", [verdicts[question.id] for question in asked])
    write_questions(run.folder / QUESTIONS, asked)


def _require_prompts(
    run: StageRun, role: Role, tokenizer: transformers.PreTrainedTokenizerBase, imported: Imported
) -> None:
    template, chat_template = run.config.template, run.config.chat_template
    if template == QUESTION and not chat_template:  # The default says nothing of how the prompts were made.
        require_tokens_of(imported, role, tokenizer)
    else:
        require_tokens_of(
            imported,
            role,
            tokenizer,
            lambda question: prompt_tokens(tokenizer, question.question, template, chat_template),
        )


def _answer_rest(
    run: StageRun,
    role: Role,
    source: ModelSource,
    tokenizer: transformers.PreTrainedTokenizerBase,
    questions: Sequence[Question],
    prompts: Sequence[Sequence[int]],
    parts: Path,
) -> None:
    """Has the model answer what is not answered yet, one file of answers a batch."""
    sampling = run.config.sampling
    answered = {response.question_id for response in _read_parts(parts)}
    lengths = [len(prompt) for prompt in prompts]
    todo = unfinished_batches(lengths, [question.id in answered for question in questions], sampling.batch_size)
    if not todo:
        return
    stops = stop_tokens(source.generation_folder, tokenizer)
    model = load_next(source, run.config.dtype, mesh_of(run.config))
    for number, (places, filled) in enumerate(todo, start=1):
        try:
            answers = generate(
                model,
                [prompts[place] for place in filled],
                max_new_tokens=sampling.max_new_tokens,
                stop_tokens=stops,
                temperature=sampling.temperature,
                seed=sampling.seed,
                ids=filled,
                batch_size=len(filled),
                description=f"{role}: answering, batch {number} of {len(todo)}",
            )
        except ValueError as error:
            asked = ", ".join(repr(questions[place].id) for place in places[:3])
            raise ValueError(
                f"{role} model ({source}), questions {asked}{', ...' if len(places) > 3 else ''}: {error}"
            ) from error
        responses = [
            _response(tokenizer, questions[place], prompts[place], answer, stops)
            for place, answer in zip(places, answers, strict=False)
        ]
        write_responses(first_free(parts, ".jsonl"), responses)


def _response(
    tokenizer: transformers.PreTrainedTokenizerBase,
    question: Question,
    prompt: Sequence[int],
    answer: Sequence[int],
    stops: Sequence[int],
) -> Response:
    finished = bool(answer) and answer[-1] in stops
    spoken = answer[:-1] if finished else answer  # A stop token need not be a special one, so it is cut by hand.
    return Response(
        question_id=question.id,
        prompt_tokens=tuple(prompt),
        answer_tokens=tuple(answer),
        text=tokenizer.decode(list(spoken), skip_special_tokens=True),
        finished=finished,
    )


def _read_parts(parts: Path) -> list[Response]:
    return [response for path in sorted(parts.glob("*.jsonl")) for response in read_responses(path)]


RESPOND = Stage(
    name="respond",
    make=respond,
    reads=(
        "base",
        "tuned",
        "dtype",
        "questions",
        "num_questions",
        "question_seed",
        "question_levels",
        "question_set",
        "question_revision",
        "question_split",
        "responses",
        "template",
        "chat_template",
        "sampling.max_new_tokens",
        "sampling.temperature",
        "sampling.seed",
    ),
    tuning=("sampling.batch_size", "adapter_base", "mesh"),
    version=2,
)
