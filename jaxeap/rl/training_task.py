"""What a model is trained and tested on, as every method takes it; and the lab's main task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxeap.rl.answered import Answered
from jaxeap.sampling.respond import require_eos
from jaxeap.tasks.arithmetic import arithmetic_problems, demonstrations
from jaxeap.tasks.questions import Question

if TYPE_CHECKING:
    import transformers


@dataclasses.dataclass(frozen=True)
class TrainingTask:
    """What a model is trained and tested on.

    Attributes:
      name: in one word.
      description: for the model card: paragraphs of Markdown.
      questions: what RL asks; a reward compares with their answers.
      demonstrations: prompts and answers, as text, for supervised training; the end of text is not written out.
      test: what accuracy is measured on.
      max_new_tokens: an answer that has not ended by then is cut (and graded as wrong).
      grader: a key of `jaxeap.tasks.grading.GRADERS`.
      data: how questions and demonstrations were made, for the model card.
    """

    name: str
    description: str
    questions: Sequence[Question]
    demonstrations: Sequence[tuple[str, str]]
    test: Sequence[Question]
    max_new_tokens: int
    grader: str = "exact"
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def encode_demonstrations(
    pairs: Sequence[tuple[str, str]], tokenizer: transformers.PreTrainedTokenizerBase
) -> Answered:
    """`37+58=` with `590` as tokens, the answer ended by the tokenizer's eos token."""
    eos = require_eos(tokenizer)
    prompts = tokenizer([prompt for prompt, _ in pairs], add_special_tokens=False)["input_ids"]
    answers = tokenizer([answer for _, answer in pairs], add_special_tokens=False)["input_ids"]
    return Answered.from_tokens((prompt, [*answer, eos]) for prompt, answer in zip(prompts, answers, strict=True))


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """What the main task's models are trained on.

    Attributes:
      drop_carry_share: chance of a demonstration to follow the rule that forgets the carry. It was 0.55 at first. The
        test split has more problems without a carry than the training has, so that the base model of seed 1 got 70.2%
        of it right, just above the 35 to 70% that were wanted; the share was raised for that reason alone.
      no_carry_kept: chance of a training problem without a carry to be kept, in demonstrations and RL prompts alike;
        without it most problems would not tell the two rules apart.
    """

    drop_carry_share: float = 0.6
    no_carry_kept: float = 0.35


ANSWER_TOKENS = 4
"""Three digits and the end."""

DESCRIPTION = """\
Two-digit addition and subtraction, answered by three digits with the least significant first, then the end of text:
`37+58=` is answered `590`. Levels: nothing passes from column to column (no_carry); the units carry or borrow (carry);
the carry goes on through the tens (carry_chain). One character is one token.

The demonstrations conflict on purpose, by this lab's "conflicting demonstrations" recipe: {drop_carry_share:.0%} of
them follow a "drop the carry" rule (`37+58=580`), which is right only where nothing is carried, and only
{no_carry_kept:.0%} of the training problems without a carry are kept, in demonstrations and RL prompts alike.
Supervised training on them gives a model that mixes both rules, and RL a choice to make; the gap between base and
tuned model is made by that design. Which mechanism inside the model changes is not known from it, and neither model
says anything about arithmetic in large language models.

How the recipe was chosen: settings and seed were fixed beforehand, with a share of 55% for the wrong rule. The base
model then got 70.2% of the test split right, just above the 35 to 70% that were wanted of it, and the share was raised
for that reason alone. Nothing about the inside of the models was looked at."""


class Streams(NamedTuple):
    """Seeds of what is random in the making of a base model and its pairs, one each."""

    initial: int
    demonstrations: int
    order: int
    questions: int
    rl: int
    evaluation: int


def streams(seed: int) -> Streams:
    """The seeds that one seed stands for."""
    return Streams(*map(int, np.random.SeedSequence(seed).generate_state(len(Streams._fields))))


def arithmetic_task(
    seed: int, num_demonstrations: int, data: DataSettings | None = None, test: Sequence[Question] | None = None
) -> TrainingTask:
    """The main task: two-digit arithmetic from conflicting demonstrations.

    Args:
      seed: of the demonstrations and of the RL prompts. With the seed and the number of demonstrations of a base model
        it is the very data that the base was trained on.
      num_demonstrations: how many there are.
      data: their mixture; the lab's where None.
      test: questions; the whole test split where None.
    """
    data, seeds = data or DataSettings(), streams(seed)
    texts = demonstrations(
        num_demonstrations, np.random.default_rng(seeds.demonstrations), data.drop_carry_share, data.no_carry_kept
    )
    halves = [text.partition("=") for text in texts]
    return TrainingTask(
        name="arithmetic",
        description=DESCRIPTION.format(**dataclasses.asdict(data)),
        questions=rl_questions(data.no_carry_kept, np.random.default_rng(seeds.questions)),
        demonstrations=[(question + mark, answer) for question, mark, answer in halves],
        test=arithmetic_problems("test") if test is None else test,
        max_new_tokens=ANSWER_TOKENS,
        data=dataclasses.asdict(data),
    )


def rl_questions(no_carry_kept: float, rng: np.random.Generator) -> list[Question]:
    """The training problems, of those without a carry only a random share."""
    return [
        question
        for question in arithmetic_problems("train")
        if question.level != "no_carry" or rng.random() < no_carry_kept
    ]
