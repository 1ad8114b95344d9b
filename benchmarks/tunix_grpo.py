"""Whether GRPO with google-tunix and with jaxeap.rl end alike: .venv-tunix/bin/python -m benchmarks.tunix_grpo.

From one base, with the same prompts in the same order, the same reward, optimizer and settings, one run of each a seed;
what is drawn differs, so accuracies can agree within the scatter of seeds only. What stays different: Tunix divides
advantages by the sample's standard deviation (that of the population here), which makes its steps 6% smaller at a group
of 8, and takes the policy at its update, not at its draws, as the one that answered, which is the same here.
"""

from __future__ import annotations

import collections
import json
import logging
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rich
from absl import app, flags
from rich.table import Table

import jaxeap
from jaxeap.models.model import Decoder
from jaxeap.parallel.mesh import make_mesh
from jaxeap.rl.evaluate import measure_accuracy
from jaxeap.rl.grpo import GRPOSettings, train_grpo
from jaxeap.rl.rewards import correctness_reward
from jaxeap.rl.training import TrainState
from jaxeap.rl.training_task import TrainingTask, arithmetic_task, streams
from jaxeap.sampling.respond import require_eos
from jaxeap.tasks.tokenizer import encode_prompt, load_tokenizer

FLAGS = flags.FLAGS
flags.DEFINE_string("base", "pairs/arithmetic/base", "folder of the model that both start from")
flags.DEFINE_integer("seeds", 5, "runs of each")
flags.DEFINE_integer("steps", GRPOSettings().steps, "updates of a run")
flags.DEFINE_string("json", None, "where to write the figures")


class Characters:
    """The tokenizer under the names that Tunix takes; there is no BOS."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer

    def encode(self, text: str, **_: Any) -> list[int]:
        return self._tokenizer(str(text), add_special_tokens=False)["input_ids"]

    def decode(self, tokens: Sequence[int], **_: Any) -> str:
        return self._tokenizer.decode([int(token) for token in tokens], skip_special_tokens=True)

    def bos_id(self) -> None:
        return None

    def eos_id(self) -> int:
        return require_eos(self._tokenizer)

    def pad_id(self) -> int:
        return self._tokenizer.pad_token_id


def train_ours(model: Decoder, tokenizer: Any, task: TrainingTask, settings: GRPOSettings, seed: int) -> Decoder:
    """The model after GRPO with jaxeap.rl."""
    prompts = [encode_prompt(tokenizer, question.question) for question in task.questions]
    states = train_grpo(
        TrainState.start(model.weights, settings.make_optimizer()),
        model.config,
        model.weights,
        prompts,
        correctness_reward(task.questions, tokenizer),
        settings,
        stop_tokens=(require_eos(tokenizer),),
        seed=seed,
    )
    state, _ = collections.deque(states, maxlen=1).pop()
    return Decoder(model.config, state.weights)


def train_tunix(model: Decoder, tokenizer: Any, task: TrainingTask, settings: GRPOSettings, seed: int) -> Decoder:
    """The model after GRPO with google-tunix, on the prompts that `train_grpo` draws with that seed."""
    from tunix.rl import rl_cluster
    from tunix.rl.grpo.grpo_learner import GRPOConfig, GRPOLearner
    from tunix.rl.rollout.base_rollout import RolloutConfig

    longest = max(len(encode_prompt(tokenizer, question.question)) for question in task.questions)
    training = rl_cluster.RLTrainingConfig(
        actor_optimizer=settings.make_optimizer(),
        eval_every_n_steps=10 * settings.steps,
        max_steps=settings.steps,
        mini_batch_size=settings.prompts_per_step,
        train_micro_batch_size=settings.prompts_per_step,
    )
    rollout = RolloutConfig(
        max_tokens_to_generate=settings.max_new_tokens,
        max_prompt_length=longest,
        kv_cache_size=longest + settings.max_new_tokens,
        temperature=settings.temperature,
        top_p=1.0,
    )
    mesh = make_mesh()
    roles = (rl_cluster.Role.ACTOR, rl_cluster.Role.REFERENCE, rl_cluster.Role.ROLLOUT)
    cluster = rl_cluster.RLCluster(
        actor=jaxeap.TunixDecoder(model),
        reference=jaxeap.TunixDecoder(model),
        tokenizer=Characters(tokenizer),
        cluster_config=rl_cluster.ClusterConfig(
            role_to_mesh=dict.fromkeys(roles, mesh), training_config=training, rollout_config=rollout
        ),
    )
    algorithm = GRPOConfig(
        num_generations=settings.group_size,
        beta=settings.kl_weight,
        epsilon=settings.clip,
        kl_loss_mode="low_var_kl",
    )

    def reward(prompts: list[str], completions: list[str], answer: list[str], **_: Any) -> list[float]:
        return [float(made == str(right)) for made, right in zip(completions, answer, strict=True)]

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for round_ in range(settings.steps):
            rng = np.random.default_rng([seed, round_])
            rollout.seed = seed + round_  # Tunix draws with the same key in every round otherwise.
            drawn = rng.choice(len(task.questions), size=settings.prompts_per_step, replace=False)
            asked = [task.questions[place] for place in drawn]
            columns = {"prompts": [each.question for each in asked], "answer": [each.answer for each in asked]}
            yield {name: np.array(column) for name, column in columns.items()}  # Tunix repeats the rows of arrays

    with mesh:
        GRPOLearner(rl_cluster=cluster, algo_config=algorithm, reward_fns=reward).train(batches())
    return jaxeap.from_tunix(cluster.actor_trainer.model)


def main(argv: Sequence[str]) -> None:
    """Trains, measures and prints."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown arguments: {' '.join(argv[1:])}")
    for noisy in ("jax", "absl"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    model, tokenizer = jaxeap.load_model(FLAGS.base), load_tokenizer(FLAGS.base)
    settings = GRPOSettings(steps=FLAGS.steps)
    rows = []
    for seed in range(1, FLAGS.seeds + 1):
        task = arithmetic_task(seed, num_demonstrations=1)
        row: dict[str, Any] = {"seed": seed}
        for name, train in (("jaxeap", train_ours), ("tunix", train_tunix)):
            start = time.monotonic()
            tuned = train(model, tokenizer, task, settings, streams(seed).rl)
            row[f"{name} seconds"] = time.monotonic() - start
            for how, temperature in (("greedy", 0.0), ("sampled", 1.0)):
                found = measure_accuracy(
                    tuned,
                    tokenizer,
                    task.test,
                    max_new_tokens=settings.max_new_tokens,
                    temperature=temperature,
                    seed=streams(seed).evaluation,
                )
                row[f"{name} {how}"] = found.overall
        rows.append(row)
        rich.print(row)
    table = Table(title=f"GRPO from {FLAGS.base}, {settings.steps} updates, {len(rows)} seeds")
    for heading in ("answers", "jaxeap.rl", "google-tunix", "difference", "its standard error"):
        table.add_column(heading, justify="right")
    for how in ("greedy", "sampled"):
        ours, theirs = ([row[f"{name} {how}"] for row in rows] for name in ("jaxeap", "tunix"))
        differences = [b - a for a, b in zip(ours, theirs, strict=True)]
        error = statistics.stdev(differences) / len(rows) ** 0.5 if len(rows) > 1 else float("nan")
        cells = [f"{statistics.mean(values):.1%}" for values in (ours, theirs)]
        table.add_row(how, *cells, f"{100 * statistics.mean(differences):+.1f} points", f"{100 * error:.1f}")
    rich.print(table)
    if FLAGS.json:
        Path(FLAGS.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    app.run(main)
