"""How much there is to answer and to score, before anything was asked: counted where the questions can be read."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import ml_collections

from jaxeap.models.hub import HUB, hub_name
from jaxeap.pipeline.execution.batches import unfinished_batches
from jaxeap.pipeline.inputs.prompts import prompt_tokens
from jaxeap.pipeline.inputs.questions import choose_questions
from jaxeap.pipeline.settings import GENERATED_QUESTIONS, HUB_QUESTIONS, IMPORTED
from jaxeap.sampling.batching import padded_length
from jaxeap.tasks.imported import read_imported
from jaxeap.tasks.questions import Question
from jaxeap.tasks.tokenizer import load_tokenizer

COUNTED = 200
"""Questions whose tokens are counted; the mean of as many is as good as that of all."""
PUBLISHED_SIZES = {
    "gsm8k": 1319,
    "math": 5000,
    "math500": 500,
    "college_math": 2818,
    "minerva_math": 272,
    "olympiadbench": 674,
    "aime24": 30,
    "amc23": 40,
    "arc_challenge": 1172,
    "boolq": 3270,
}
"""Questions in the usual split of the sets from the Hub, which a plan does not fetch."""


class Bucket(NamedTuple):
    """Batches of one padded length: how many, and how many tokens they hold; None where that is not known."""

    length: int
    batches: float
    tokens: float | None


@dataclasses.dataclass(frozen=True)
class Workload:
    """What a run asks and scores.

    Attributes:
      questions: how many are asked, and how many are scored at most.
      prompt: tokens of a prompt in the mean.
      longest_prompt: tokens of the longest one, as far as counted.
      answer: tokens of an answer, supposed; an answer has `limit` at most.
      limit: most tokens of an answer; 0 where answers are imported.
      cut: tokens of an answer that count, at the supposed length.
      scored: questions that are scored, at most.
      prompts: tokens of the prompts that were counted, in the order of the questions; () where none were.
      notes: what was supposed.
    """

    questions: int
    prompt: float
    longest_prompt: int
    answer: int
    limit: int
    cut: int
    scored: int
    prompts: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def scored_length(self) -> int:
        """The padded length of what is scored: a prompt and the counted beginning of its answer."""
        return padded_length(self.longest_prompt + self.cut - 1)

    @property
    def scored_width(self) -> int:
        """The padded number of counted tokens."""
        return padded_length(self.cut)

    def buckets(self, rows: int) -> tuple[Bucket, ...]:
        """The batches of `rows` rows that are scored, the longest first; of one length where no prompt was counted."""
        whole = math.ceil(self.scored / rows)
        if not self.prompts:
            return (Bucket(self.scored_length, float(whole), None),)
        lengths = [prompt + self.cut - 1 for prompt in self.prompts[: self.scored]]
        batches = unfinished_batches([length + 1 for length in lengths], [False] * len(lengths), rows)
        found: dict[int, list[int]] = {}
        for places in batches:
            longest = max(lengths[place] for place in places.real)
            found.setdefault(padded_length(longest), []).append(sum(lengths[place] for place in places.real))
        more = whole / len(batches)  # What was counted stands for all.
        return tuple(Bucket(length, more * len(tokens), sum(tokens) * more) for length, tokens in found.items())


def workload(config: ml_collections.ConfigDict) -> Workload:
    """What the settings ask for.

    Raises:
      FileNotFoundError, ValueError: the questions are in a file, and it is none of questions.
    """
    plan, generated = config.plan, config.responses != IMPORTED
    count, asked = _questions(config)
    notes = []
    lengths = _prompt_lengths(config, asked) if asked else []
    prompt, longest = (fmean(lengths), max(lengths)) if lengths else (float(plan.prompt_tokens), 2 * plan.prompt_tokens)
    if not lengths:
        notes.append(
            f"prompts were not counted: {plan.prompt_tokens} tokens in the mean are supposed, the longest twice that "
            "(plan.prompt_tokens)"
        )
    limit = config.sampling.max_new_tokens if generated else 0
    answer = min(plan.answer_tokens, limit) if generated else plan.answer_tokens
    notes.append(f"answers of {answer} tokens in the mean are supposed (plan.answer_tokens)")
    cut = max(1, int(config.selection.alpha * answer))
    return Workload(
        questions=count,
        prompt=prompt,
        longest_prompt=longest,
        answer=answer,
        limit=limit,
        cut=cut,
        scored=min(count, config.selection.max_pairs or count),
        prompts=tuple(lengths),
        notes=tuple(notes),
    )


def _questions(config: ml_collections.ConfigDict) -> tuple[int, list[Question]]:
    """How many are asked, and some of them, or none where that would take a network."""
    source = config.questions
    if source.startswith(HUB):
        size = PUBLISHED_SIZES[source.removeprefix(HUB)]
        return min(config.num_questions or size, size), []
    if source not in GENERATED_QUESTIONS and not Path(source).is_file():
        if Path(source).is_dir():
            raise ValueError(f"config.questions is {source}, a folder; give a file of questions in JSON lines")
        sets = ", ".join((*GENERATED_QUESTIONS, *HUB_QUESTIONS))
        raise FileNotFoundError(f"config.questions is {source}: no such file of questions; sets by name are {sets}")
    if config.responses == IMPORTED:
        questions = list(read_imported(source).questions)
        count = config.num_questions or len(questions)
        return count, questions[:count]
    chosen = choose_questions(
        source, config.question_levels, config.num_questions, config.question_seed, question_set=config.question_set
    )
    return len(chosen), chosen


def _prompt_lengths(config: ml_collections.ConfigDict, questions: list[Question]) -> list[int]:
    """Tokens of the prompts, none where the base has no tokenizer here (a folder that holds only config.json)."""
    if hub_name(config.base) is not None:
        return []
    try:
        tokenizer = load_tokenizer(config.base)
    except (FileNotFoundError, ValueError):
        return []
    some = itertools.islice(questions, COUNTED)
    return [len(prompt_tokens(tokenizer, q.question, config.template, config.chat_template)) for q in some]
