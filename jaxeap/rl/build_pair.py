"""Makes the shipped models from nothing: `python -m jaxeap.rl.build_pair --out=pairs/arithmetic --methods=grpo`.

base      a small Qwen2-shaped decoder after supervised fine-tuning on conflicting demonstrations: by chance one part of
          them follows the rules of arithmetic, the other a rule that forgets the carry. The model mixes the two.
grpo      the same model after GRPO with the right answer as the only reward;
ppo, dpo  after PPO and DPO with the same;
sft_more  after more of the supervised fine-tuning that made it, as a control.
Any other key of `jaxeap.rl.methods.METHODS` works too.

The conflict is a design of this lab, made so that RL has something to select: RL hardly improves a model of this size
that was fine-tuned on right answers and merely stopped early. What tells base from the others is known up to the rule
that was rewarded; which mechanism inside the model carries it is what jaxeap is there to ask.

Takes about three minutes on two cores for base and grpo, compilation included. A killed run goes on where it stopped.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig
from jaxeap.models.save import save_model
from jaxeap.rl.evaluate import Accuracy
from jaxeap.rl.runs import train_model
from jaxeap.rl.sft import SFTSettings
from jaxeap.rl.training_task import DataSettings, arithmetic_task, streams
from jaxeap.tasks.questions import Question
from jaxeap.tasks.tokenizer import arithmetic_tokenizer

BASE_SUMMARY = "A small Qwen2-shaped decoder after supervised fine-tuning from random weights: the model before RL."


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


def build_models(
    out: Path,
    workdir: Path,
    seed: int,
    methods: Sequence[str] = ("grpo",),
    *,
    model_config: ModelConfig | None = None,
    data: DataSettings | None = None,
    sft: SFTSettings | None = None,
    settings: Mapping[str, Any] | None = None,
    test_questions: Sequence[Question] | None = None,
    command: str = "python -m jaxeap.rl.build_pair",
) -> dict[str, dict[str, Accuracy]]:
    """Trains the base and from it a model by each method, and writes `out`/base and `out`/METHOD.

    Args:
      out: folder of the models.
      workdir: folder of the runs (see `jaxeap.rl.runs`), where an interrupted one goes on.
      seed: of everything; each stage takes a stream of its own from it.
      methods: keys of `jaxeap.rl.methods.METHODS`.
      model_config, data, sft: the recipe of the base; the lab's where None.
      settings: method -> its settings; the lab's where there are none.
      test_questions: what accuracy is measured on; the whole test split where None.
      command: what the model cards say that makes the models again.

    Returns:
      "base" and each method -> "greedy" and "sampled" -> accuracy.
    """
    tokenizer, seeds = arithmetic_tokenizer(), streams(seed)
    sft = sft or SFTSettings()
    task = arithmetic_task(seed, sft.steps * sft.batch_size, data, test_questions)
    initial, base = workdir / "initial", workdir / "base"
    save_model(Decoder.random(model_config or lab_config(len(tokenizer)), seeds.initial), initial, tokenizer)
    measured = {
        "base": train_model(
            "sft",
            initial,
            base,
            task,
            seeds.order,
            sft,
            checkpoint_every=50,
            evaluation_seed=seeds.evaluation,
            summary=BASE_SUMMARY,
            command=command,
        )
    }
    for method in methods:
        measured[method] = train_model(
            method,
            base,
            workdir / method,
            task,
            seeds.rl,
            (settings or {}).get(method),
            evaluation_seed=seeds.evaluation,
            command=command,
        )
    for name in measured:
        (out / name).mkdir(parents=True, exist_ok=True)
        for file in sorted(path for path in (workdir / name).iterdir() if path.is_file()):
            shutil.copy2(file, out / name)
    return measured


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    for noisy in ("jax", "absl"):  # which backends are not there, what Orbax does
        logging.getLogger(noisy).setLevel(logging.WARNING)
    out, seed, methods = flags.FLAGS.out, flags.FLAGS.seed, flags.FLAGS.methods
    start = time.perf_counter()
    command = f"python -m jaxeap.rl.build_pair --out={out} --seed={seed} --methods={','.join(methods)}"
    build_models(Path(out), Path(flags.FLAGS.workdir), seed, methods, command=command)
    print(f"{', '.join(f'{out}/{name}' for name in ('base', *methods))} written, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    flags.DEFINE_string("out", "pairs/arithmetic", "Folder that takes base/ and one folder for each method.")
    flags.DEFINE_string("workdir", "workdirs/pairs", "Folder of the runs, where an interrupted one goes on.")
    flags.DEFINE_integer("seed", 1, "Of everything.")
    flags.DEFINE_list("methods", ["grpo"], "What else to make beside the base.")
    app.run(main)
