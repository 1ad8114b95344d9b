"""Makes the shipped pair from nothing: `python -m jaxeap.rl.build_pair --out=pairs/arithmetic`.

base  a small Qwen2-shaped decoder after supervised fine-tuning on conflicting demonstrations: by chance one part of
      them follows the rules of arithmetic, the other a rule that forgets the carry. The model mixes the two.
grpo  the same model after GRPO with the right answer as the only reward.

The conflict is a design of this lab, made so that RL has something to select: RL hardly improves a model of this size
that was fine-tuned on right answers and merely stopped early. What tells base from grpo is known up to the rule that
was rewarded; which mechanism inside the model carries it is what jaxeap is there to ask.

Takes about three minutes on two cores, compilation included.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
from absl import app, flags

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig
from jaxeap.models.save import save_model
from jaxeap.rl.answered import Answered
from jaxeap.rl.evaluate import Accuracy, measure_accuracy
from jaxeap.rl.grpo import GRPOSettings, train_grpo
from jaxeap.rl.model_card import TrainingRecord, write_record
from jaxeap.rl.rewards import correctness_reward
from jaxeap.rl.sft import SFTSettings, train_sft
from jaxeap.rl.training import TrainState, follow
from jaxeap.sampling.respond import require_eos
from jaxeap.tasks.arithmetic import arithmetic_problems, demonstrations
from jaxeap.tasks.questions import Question
from jaxeap.tasks.tokenizer import arithmetic_tokenizer

if TYPE_CHECKING:
    import transformers


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """What is trained on.

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

TASK = """\
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


def lab_config(vocab_size: int) -> ModelConfig:
    """The lab's decoder: 3 layers, width 128, 0.59 M parameters."""
    return ModelConfig(
        family="qwen2",
        vocab_size=vocab_size,
        embed_dim=128,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        head_dim=32,
        mlp_dim=384,
        activation="silu",
        norm_epsilon=1e-6,
        rope=RopeConfig(theta=10_000.0),
        windows=(None,) * 3,
        qkv_bias=True,
        tied_embeddings=True,
    )


def encode_demonstrations(texts: Sequence[str], tokenizer: transformers.PreTrainedTokenizerBase) -> Answered:
    """`37+58=590` as the prompt `37+58=` with the answer `590<eos>`."""
    eos = require_eos(tokenizer)
    parts = [text.partition("=") for text in texts]
    prompts = tokenizer([question + mark for question, mark, _ in parts], add_special_tokens=False)["input_ids"]
    answers = tokenizer([answer for _, _, answer in parts], add_special_tokens=False)["input_ids"]
    return Answered.from_tokens((prompt, [*answer, eos]) for prompt, answer in zip(prompts, answers, strict=True))


def rl_questions(no_carry_kept: float, rng: np.random.Generator) -> list[Question]:
    """The training problems, of those without a carry only a random share."""
    return [
        question
        for question in arithmetic_problems("train")
        if question.level != "no_carry" or rng.random() < no_carry_kept
    ]


def build_pair(
    out: Path,
    seed: int,
    *,
    model_config: ModelConfig | None = None,
    data: DataSettings | None = None,
    sft: SFTSettings | None = None,
    grpo: GRPOSettings | None = None,
    test_questions: Sequence[Question] | None = None,
    command: str = "python -m jaxeap.rl.build_pair",
) -> dict[str, dict[str, Accuracy]]:
    """Trains both models and writes `out`/base and `out`/grpo.

    Args:
      out: folder of the pair.
      seed: of everything; each stage takes a stream of its own from it.
      model_config, data, sft, grpo: the recipe; the lab's where None.
      test_questions: what accuracy is measured on; the whole test split where None.
      command: what the model cards say that makes the pair again.

    Returns:
      "base" and "grpo" -> "greedy" and "sampled" -> accuracy.
    """
    tokenizer = arithmetic_tokenizer()
    stop = require_eos(tokenizer)
    config = model_config or lab_config(len(tokenizer))
    data, sft, grpo = data or DataSettings(), sft or SFTSettings(), grpo or GRPOSettings(max_new_tokens=ANSWER_TOKENS)
    test = arithmetic_problems("test") if test_questions is None else test_questions
    initial, drawing, order, rl_data, rl, evaluation = map(int, np.random.SeedSequence(seed).generate_state(6))
    seconds: dict[str, float] = {}

    def accuracies(name: str, model: Decoder) -> dict[str, Accuracy]:
        measured = {}
        for kind, temperature in (("greedy", 0.0), ("sampled", 1.0)):
            measured[kind] = measure_accuracy(
                model, tokenizer, test, max_new_tokens=ANSWER_TOKENS, temperature=temperature, seed=evaluation
            )
            levels = ", ".join(f"{level} {share:.1%}" for level, share in measured[kind].by_level.items())
            print(f"{name}: {kind} accuracy {measured[kind].overall:.1%} on {len(test)} test questions ({levels})")
        return measured

    start = time.perf_counter()
    texts = demonstrations(
        sft.steps * sft.batch_size, np.random.default_rng(drawing), data.drop_carry_share, data.no_carry_kept
    )
    state = TrainState.start(Decoder.random(config, initial).weights, sft.make_optimizer())
    run = train_sft(state, config, encode_demonstrations(texts, tokenizer), sft, order)
    base = Decoder(config, follow(run, sft.steps, "sft").weights)
    seconds["sft"] = time.perf_counter() - start
    measured = {"base": accuracies("base", base)}

    start = time.perf_counter()
    questions = rl_questions(data.no_carry_kept, np.random.default_rng(rl_data))
    prompts = tokenizer([question.question for question in questions], add_special_tokens=False)["input_ids"]
    run = train_grpo(
        TrainState.start(base.weights, grpo.make_optimizer()),
        config,
        base.weights,
        prompts,
        correctness_reward(questions, tokenizer),
        grpo,
        stop_tokens=(stop,),
        seed=rl,
    )
    tuned = Decoder(config, follow(run, grpo.steps, "grpo").weights)
    seconds["grpo"] = time.perf_counter() - start
    measured["grpo"] = accuracies("grpo", tuned)

    record = TrainingRecord(
        name="arithmetic/base",
        summary="A small Qwen2-shaped decoder after supervised fine-tuning from random weights: the model before RL.",
        task=TASK.format(**dataclasses.asdict(data)),
        command=command,
        seed=seed,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(base.weights)),
        recipe={"data": dataclasses.asdict(data), "sft": dataclasses.asdict(sft)},
        seconds={"sft": seconds["sft"]},
        accuracy=measured["base"],
    )
    save_model(base, out / "base", tokenizer)
    write_record(out / "base", record)
    save_model(tuned, out / "grpo", tokenizer)
    write_record(
        out / "grpo",
        dataclasses.replace(
            record,
            name="arithmetic/grpo",
            summary="arithmetic/base after GRPO, with 1 for a right answer and 0 for any other as the reward.",
            recipe={**record.recipe, "grpo": dataclasses.asdict(grpo)},
            seconds=seconds,
            accuracy=measured["grpo"],
        ),
    )
    return measured


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    logging.getLogger("jax").setLevel(logging.WARNING)  # absl would show which backends are not there
    out, seed = flags.FLAGS.out, flags.FLAGS.seed
    start = time.perf_counter()
    build_pair(Path(out), seed, command=f"python -m jaxeap.rl.build_pair --out={out} --seed={seed}")
    print(f"{out}/base and {out}/grpo written, {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    flags.DEFINE_string("out", "pairs/arithmetic", "Folder that takes base/ and grpo/.")
    flags.DEFINE_integer("seed", 1, "Of everything.")
    app.run(main)
