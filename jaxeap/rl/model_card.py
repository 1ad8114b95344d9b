"""What stands beside a trained model: training.json for programs, README.md (the model card) for people."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jaxeap.rl.evaluate import Accuracy
from jaxeap.tasks.jsonl import replacing

TRAINING_FILE = "training.json"
CARD_FILE = "README.md"


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """How a model came about and what it can do.

    Attributes:
      name: such as "arithmetic/grpo".
      summary: one paragraph: what it is and what it started from.
      task: one paragraph: what it was trained and tested on.
      command: makes it again.
      seed: of the last stage.
      parameters: how many numbers the model has.
      recipe: stage -> its settings.
      seconds: stage -> wall-clock time.
      accuracy: "greedy" and "sampled" (temperature 1) -> accuracy on the whole test split.
    """

    name: str
    summary: str
    task: str
    command: str
    seed: int
    parameters: int
    recipe: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, float]
    accuracy: Mapping[str, Accuracy]


def versions() -> dict[str, str]:
    """The versions that decide what training gives, and the kind of machine."""
    packages = {name: version(name) for name in ("jax", "jaxlib", "optax", "numpy")}
    return {"python": platform.python_version(), **packages, "machine": platform.machine()}


def write_record(folder: Path, record: TrainingRecord) -> None:
    """Writes training.json and README.md into `folder`."""
    content = dataclasses.asdict(record) | {
        "accuracy": {
            kind: {"overall": accuracy.overall, "right": dict(accuracy.right), "asked": dict(accuracy.asked)}
            for kind, accuracy in record.accuracy.items()
        },
        "versions": versions(),
    }
    with replacing(folder / TRAINING_FILE) as file:
        file.write(json.dumps(content, indent=2) + "\n")
    with replacing(folder / CARD_FILE) as file:
        file.write(card_text(record))


def read_accuracies(folder: Path) -> dict[str, Accuracy]:
    """The accuracies that training.json tells, by the names of `TrainingRecord.accuracy`."""
    recorded = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))["accuracy"]
    return {kind: Accuracy(accuracy["right"], accuracy["asked"]) for kind, accuracy in recorded.items()}


def card_text(record: TrainingRecord) -> str:
    """The model card in Markdown, with the front matter that the Hugging Face Hub reads."""
    columns = list(record.accuracy)
    levels = list(next(iter(record.accuracy.values())).asked)
    asked = next(iter(record.accuracy.values())).asked
    rows = [("all", sum(asked.values()), [record.accuracy[kind].overall for kind in columns])]
    rows += [(level, asked[level], [record.accuracy[kind].by_level[level] for kind in columns]) for level in levels]
    table = [f"| level | questions | {' | '.join(columns)} |", f"|---|---:|{'---:|' * len(columns)}"]
    table += [
        f"| {level} | {count} | {' | '.join(f'{100 * x:.1f}%' for x in shares)} |" for level, count, shares in rows
    ]
    recipe = [f"- {stage}: " + ", ".join(_settings(settings)) for stage, settings in record.recipe.items()]
    seconds = ", ".join(f"{stage} {spent:.0f} s" for stage, spent in record.seconds.items())
    return "\n".join(
        [
            "---",
            "license: apache-2.0",
            "library_name: jaxeap",
            "pipeline_tag: text-generation",
            "---",
            f"# {record.name}",
            "",
            record.summary,
            "",
            "## Task",
            "",
            record.task,
            "",
            "## Accuracy",
            "",
            "On the whole test split, none of whose problems is in the training split in either order of its operands. "
            "Sampled is one draw a question at temperature 1.",
            "",
            *table,
            "",
            "## Training",
            "",
            f"    {record.command}",
            "",
            f"Seed of the last stage: {record.seed}; {record.parameters:,} parameters; wall clock: {seconds}.",
            ", ".join(f"{name} {value}" for name, value in versions().items()) + ".",
            "",
            *recipe,
            "",
            f"`{TRAINING_FILE}` holds the same for programs. Other versions, or a machine of another kind, round "
            "differently, so that training there ends in other weights.",
            "",
        ]
    )


def _settings(settings: Mapping[str, Any]) -> list[str]:
    """Nested settings as "name value"; the optimizer's are told without saying that they are."""
    flat = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat += [inner if name == "optimizer" else f"{name} {inner}" for inner in _settings(value)]
        else:
            flat.append(f"{name} {value}")
    return flat
