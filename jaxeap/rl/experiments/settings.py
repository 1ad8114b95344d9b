"""What every experiment's config has; the files in configs/lab add what theirs vary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import ml_collections

from jaxeap.metrics.bootstrap import check_confidence
from jaxeap.pipeline.settings import GENERATED_QUESTIONS
from jaxeap.rl.methods import find_method


def lab_config(experiment: str, methods: Iterable[str], seeds: int) -> ml_collections.ConfigDict:
    """All common settings with their defaults.

    Args:
      experiment: a key of `jaxeap.rl.experiments.execute.EXPERIMENTS`.
      methods: that train from the base; their numbers of steps are the lab's.
      seeds: how many bases are made, with everything that is trained from them.
    """
    config = ml_collections.ConfigDict()
    config.experiment = experiment
    # Each seed has a base of its own: other initial weights, other demonstrations, other RL prompts.
    config.seeds = seeds
    config.first_seed = 1
    # Folder that takes NAME.md and NAME/*.png; "" for the work directory. `docs/findings` is where the pages stand.
    config.findings = ""

    # Steps of each method, "sft" being what makes the base (see docs/rl_lab.md for what a step is).
    config.steps = ml_collections.ConfigDict({name: find_method(name).settings.steps for name in ("sft", *methods)})

    # What base and trained model are contrasted on, as in run.py; they answer greedily, and questions that both
    # answer rightly are compared.
    config.contrast = ml_collections.ConfigDict()
    config.contrast.questions = "arithmetic:test"
    config.contrast.num_questions = 300
    config.contrast.question_seed = 0
    config.contrast.level = "block"
    config.contrast.alpha = 1.0  # Answers have four tokens, so all of them count.
    config.contrast.batch_size = 32  # Changes speed and memory alone.
    # A contrast with fewer questions left is reported as missing.
    config.contrast.fewest = 20

    config.bootstrap = ml_collections.ConfigDict()
    config.bootstrap.resamples = 4000
    config.bootstrap.seed = 0
    config.bootstrap.confidence = 0.95
    return config


def check_lab_config(config: ml_collections.ConfigDict) -> None:
    """Refuses what no experiment can be run with.

    Raises:
      ValueError: naming the setting.
    """
    counts = {
        "seeds": config.seeds,
        "contrast.num_questions": config.contrast.num_questions,
        "contrast.fewest": config.contrast.fewest,
        "contrast.batch_size": config.contrast.batch_size,
        "bootstrap.resamples": config.bootstrap.resamples,
        **{f"steps.{name}": steps for name, steps in config.steps.items()},
    }
    if low := [f"config.{name} is {value}" for name, value in counts.items() if value < 1]:
        raise ValueError(f"{'; '.join(low)}; it must be at least 1")
    if config.contrast.questions not in GENERATED_QUESTIONS:
        raise ValueError(
            f"config.contrast.questions is {config.contrast.questions!r}; the lab's models know "
            f"{', '.join(GENERATED_QUESTIONS)}"
        )
    check_confidence(config.bootstrap.confidence)


def seeds_of(config: ml_collections.ConfigDict) -> range:
    """The seeds of the experiment."""
    return range(config.first_seed, config.first_seed + config.seeds)


def settings_of(config: ml_collections.ConfigDict, method: str, **changes: Any) -> Any:
    """The lab's settings of a method with the config's number of steps and other changes."""
    return dataclasses.replace(find_method(method).settings, **{"steps": config.steps[method], **changes})
