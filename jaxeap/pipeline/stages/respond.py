"""Both models answer all questions, or their answers are read from a file."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import time
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

import jax

from jaxeap.models.config import ModelConfig
from jaxeap.models.load import check_files
from jaxeap.parallel import hosts
from jaxeap.pipeline.execution.out_of_memory import Portion, in_portions
from jaxeap.pipeline.inputs.model_source import ModelSource
from jaxeap.pipeline.inputs.pair import ROLES, load_next, mesh_of, require_same_architecture, sources_of
from jaxeap.pipeline.inputs.prompts import pair_prompts, prompt_tokens
from jaxeap.pipeline.inputs.questions import choose_questions, draw_questions
from jaxeap.pipeline.inputs.stop_tokens import stop_tokens
from jaxeap.pipeline.inputs.vocabulary import VocabularyFindings, check_vocabularies
from jaxeap.pipeline.settings import IMPORTED, QUESTION
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.storage.artifacts import first_free, read_json, write_json
from jaxeap.pipeline.storage.fingerprint import fingerprint
from jaxeap.sampling.continuous import Answer
from jaxeap.sampling.generate import answers
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.paged_cache import cache_layout
from jaxeap.sampling.stop_strings import cut_text
from jaxeap.tasks.grading import Verdict, read_verdicts, write_verdicts
from jaxeap.tasks.imported import Imported, read_imported, require_tokens_of
from jaxeap.tasks.jsonl import read_checked_records, write_checked_records
from jaxeap.tasks.questions import Question, read_questions, write_questions
from jaxeap.tasks.responses import Response, read_responses, write_responses
from jaxeap.tasks.selection import Role
from jaxeap.tasks.tokenizer import load_tokenizer

if TYPE_CHECKING:
    import transformers

QUESTIONS = "questions.jsonl"
VOCABULARY = "vocabulary.json"
SECONDS_BETWEEN_PARTS = 60.0
"""A run that is killed loses what ended since, and what it was about to write."""


@dataclasses.dataclass(frozen=True)
class _Part(Response):
    """A response and which of the question's answers it is."""

    sample: int


def questions_of(folder: Path) -> list[Question]:
    """The questions that were asked, from the finished stage's folder."""
    return read_questions(folder / QUESTIONS)


def responses_of(folder: Path, role: Role, sample: int = 0) -> list[Response]:
    """One model's responses from the finished stage's folder, in the order of the questions.

    Where each question was answered several times, `sample` says which answers; the first are what is compared.
    """
    return read_responses(folder / _file(role, sample))


def samples_in(folder: Path) -> int:
    """How many answers to each question the finished stage's folder holds."""
    return next(sample for sample in itertools.count(1) if not (folder / _file("base", sample)).is_file())


def _file(role: Role, sample: int) -> str:
    return f"{role}_sample{sample}.jsonl" if sample else f"{role}.jsonl"


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

    Where each question is answered several times, the further answers stand in base_sample1.jsonl, ... Until a model
    has answered all, its answers lie in parts. A run that goes on from them ends with the same bytes, since an answer
    does not depend on which others are written with it.
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
    if hosts.is_first():
        write_json(run.folder / VOCABULARY, dataclasses.asdict(vocabulary))
    tokenizers = {role: load_tokenizer(sources[role].tokenizer_folder) for role in ROLES}
    if config.responses == IMPORTED:
        hosts.on_first(lambda: _import(run, sources, tokenizers))
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
    hosts.require_same("prompt", {"any": fingerprint({"tokens": prompts})})
    if hosts.is_first():
        write_questions(run.folder / QUESTIONS, questions)
    for role in ROLES:
        parts = run.folder / f"{role}_parts"
        paths = [run.folder / _file(role, sample) for sample in range(run.config.sampling.samples)]
        if not hosts.on_first(lambda paths=paths: all(path.is_file() for path in paths)):  # type: ignore[misc]
            _answer_rest(run, role, sources[role], tokenizers[role], questions, prompts, parts)
            if hosts.is_first():
                written = {(part.question_id, part.sample): _response(part) for part in _read_parts(parts)}
                for sample, path in enumerate(paths):
                    write_responses(path, [written[question.id, sample] for question in questions])
                finished = sum(response.finished for response in written.values())
                run.say(f"{role}: {len(written)} answers, {finished} of them ended by the model itself")
        if hosts.is_first():
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
    """Has the model answer what is not answered yet, and keeps answers as they end."""
    asked = SamplingOptions(**run.config.sampling)
    place_of = {question.id: place for place, question in enumerate(questions)}

    def written() -> list[tuple[int, int]]:
        return [(place_of[part.question_id], part.sample) for part in _read_parts(parts)]

    def answered() -> set[tuple[int, int]]:
        return {(place, sample) for place, sample in hosts.on_first(written)}

    hosts.on_first(lambda: _discard_damaged(run, parts, set(place_of)))
    if len(answered()) == (total := len(questions) * asked.samples):
        return
    stops = stop_tokens(source.generation_folder, tokenizer)
    model = load_next(source, run.config.dtype, mesh_of(run.config))

    rows, longest = min(asked.batch_size, total), max(map(len, prompts))

    def answer_rest(portion: Portion) -> None:
        options = _within(asked, model.config, portion.rows, rows, longest)
        ended: list[_Part] = []
        written_at = time.monotonic()
        try:
            for answer in answers(
                model,
                prompts,
                options,
                stop_tokens=stops,
                done=answered(),
                tokenizer=tokenizer,
                description=f"{role}: answering",
            ):
                if not hosts.is_first():
                    continue
                question, prompt = questions[answer.place], prompts[answer.place]
                ended.append(_part(tokenizer, question, prompt, answer, stops, options.stop_strings))
                if len(ended) >= options.batch_size or time.monotonic() - written_at > SECONDS_BETWEEN_PARTS:
                    _write_part(parts, ended)
                    ended, written_at = [], time.monotonic()
        except jax.errors.JaxRuntimeError:
            if ended:
                _write_part(parts, ended)
            raise
        if ended:
            _write_part(parts, ended)

    remedy = "lower --config.sampling.max_new_tokens, or cut the weights over more devices (--config.mesh.tensor)"
    try:
        in_portions(run, "answering", Portion(rows), answer_rest, remedy=remedy, setting="sampling.batch_size")
    except ValueError as error:
        raise ValueError(f"{role} model ({source}): {error}") from error


def _within(options: SamplingOptions, config: ModelConfig, rows: int, asked: int, longest: int) -> SamplingOptions:
    """The options for `rows` answers at once instead of the `asked` ones: a cache whose size was set shrinks with them.

    But not below the room for one answer to the longest prompt, of `longest` tokens.
    """
    if options.cache_tokens is None or rows == asked:
        return dataclasses.replace(options, batch_size=rows)
    layout = cache_layout(config, options, rows, longest)
    tokens = max(layout.longest * layout.slots, options.cache_tokens * rows // asked)
    return dataclasses.replace(options, batch_size=rows, cache_tokens=tokens)


def _part(
    tokenizer: transformers.PreTrainedTokenizerBase,
    question: Question,
    prompt: Sequence[int],
    answer: Answer,
    stops: Sequence[int],
    stop_strings: Sequence[str],
) -> _Part:
    # A stop token need not be a special one, so it is cut by hand.
    spoken = answer.tokens[:-1] if answer.tokens[-1] in stops else answer.tokens
    return _Part(
        question_id=question.id,
        prompt_tokens=tuple(prompt),
        answer_tokens=tuple(answer.tokens),
        text=cut_text(tokenizer.decode(spoken, skip_special_tokens=True), stop_strings),
        finished=answer.finished,
        sample=answer.sample,
    )


def _write_part(parts: Path, ended: Sequence[_Part]) -> None:
    write_checked_records(first_free(parts, ".jsonl"), ended)


def _read_parts(parts: Path) -> list[_Part]:
    return [part for path in sorted(parts.glob("*.jsonl")) for part in read_checked_records(path, _Part)]


def _discard_damaged(run: StageRun, parts: Path, question_ids: Set[str]) -> None:
    """Deletes the parts of a run before that are not what it wrote, or hold answers to other questions."""
    for path in sorted(parts.glob("*.jsonl")):
        try:
            if not {part.question_id for part in read_checked_records(path, _Part)} <= question_ids:
                raise ValueError(f"{path} is not of this run's questions")
        except ValueError as error:
            run.say(f"{error}; it is removed and its questions are answered again")
            path.unlink()


def _response(part: _Part) -> Response:
    return Response(**{field.name: getattr(part, field.name) for field in dataclasses.fields(Response)})


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
        "sampling.top_k",
        "sampling.top_p",
        "sampling.seed",
        "sampling.samples",
        "sampling.stop_strings",
    ),
    tuning=("sampling.batch_size", "sampling.cache_block", "sampling.cache_tokens", "adapter_base", "mesh"),
    version=3,
    on_all_hosts=True,
)
