"""One training run as a folder: from a base model by a named method to a model that stands there, resumed when killed.

FOLDER/                   the trained model in Hugging Face format, with model card and training.json
FOLDER/steps/000040/      the model as it was after 40 steps, where that was asked for
FOLDER/run/run.json       what the run is; another one is refused in the same folder
FOLDER/run/metrics.jsonl  metrics of each step (and tensorboard/, where tensorboardX is installed)
FOLDER/run/checkpoints/   the latest state, by Orbax; goes when the run is done
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp

from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from jaxeap.models.save import save_model
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.pipeline.storage.fingerprint import fingerprint, model_identity
from jaxeap.rl.evaluate import Accuracy, measure_accuracy
from jaxeap.rl.methods import Problem, State, find_method
from jaxeap.rl.metrics_log import Log, metrics_log, read_metrics
from jaxeap.rl.model_card import TRAINING_FILE, TrainingRecord, read_accuracies, write_record
from jaxeap.rl.rewards import correctness_reward
from jaxeap.rl.training import Metrics, follow
from jaxeap.rl.training_task import TrainingTask, encode_demonstrations
from jaxeap.sampling.respond import require_eos
from jaxeap.tasks.tokenizer import encode_prompt, load_tokenizer

Tree = TypeVar("Tree")

RUN_FOLDER, RUN_FILE, CHECKPOINTS, STEPS = "run", "run.json", "checkpoints", "steps"


def train_model(
    method: str,
    base: Path,
    target: Path,
    task: TrainingTask,
    seed: int,
    settings: Any = None,
    *,
    keep_steps: Collection[int] = (),
    checkpoint_every: int = 10,
    evaluation_seed: int = 0,
    summary: str | None = None,
    command: str = "",
    say: Callable[[str], None] = print,
) -> dict[str, Accuracy]:
    """Trains a model, or goes on where a killed run of the same arguments stopped, or does nothing if it was finished.

    Every array of the result, bit by bit, is the same whether or not the run was interrupted.

    Args:
      method: a key of `jaxeap.rl.methods.METHODS`.
      base: Hugging Face folder of the model to start from, with its tokenizer.
      target: folder of the run.
      task: what to train and to test on.
      seed: of the training.
      settings: of the method's type; the lab's with the task's max_new_tokens where None.
      keep_steps: steps, from 1, after which the model is kept beside the last one.
      checkpoint_every: steps from one checkpoint to the next; a killed run loses what came after the last.
      evaluation_seed: of the sampled accuracy.
      summary: of the model card; None says which base it was and what by.
      command: what the model card says that makes the model again.
      say: takes lines about the run's progress.

    Returns:
      "greedy" and "sampled" (at temperature 1) -> accuracy on the task's test questions.

    Raises:
      FileNotFoundError: there is no base model.
      FloatingPointError: training diverged.
      ValueError: there is no such method, the settings are of another one, a step to keep is beyond the run, or the
        folder holds another run.
    """
    way = find_method(method)
    settings = default_settings(method, task) if settings is None else settings
    if type(settings) is not type(way.settings):
        raise ValueError(f"method {method!r} takes {type(way.settings).__name__}, found {type(settings).__name__}")
    if beyond := [step for step in keep_steps if not 1 <= step <= settings.steps]:
        raise ValueError(f"keep_steps go from 1 to the {settings.steps} steps of the run; found {beyond}")
    folder, title = target / RUN_FOLDER, f"{method} {target.name}"
    _claim(folder / RUN_FILE, _identity(method, base, task, seed, settings, keep_steps))
    if (target / TRAINING_FILE).is_file():
        say(f"{title}: is finished")
        return read_accuracies(target)

    model, tokenizer = load_model(base), load_tokenizer(base)
    for how_loaded in ("is_local", "local_files_only"):  # transformers would write them into tokenizer_config.json
        tokenizer.init_kwargs.pop(how_loaded, None)
    problem = Problem(
        config=model.config,
        base=model.weights,
        demonstrations=encode_demonstrations(task.demonstrations, tokenizer),
        prompts=[encode_prompt(tokenizer, question.question) for question in task.questions],
        reward=correctness_reward(task.questions, tokenizer, task.grader),
        stop_tokens=(require_eos(tokenizer),),
    )
    state: State = way.start(problem.base, settings)
    options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
    with ocp.CheckpointManager((folder / CHECKPOINTS).absolute(), options=options) as checkpoints:
        if done := checkpoints.latest_step() or 0:
            state = _restore(checkpoints, done, state)
            say(f"{title}: goes on after step {done} of {settings.steps}")

        def keep(step: int, state: State) -> None:
            if step in keep_steps:
                save_model(Decoder(model.config, state.weights), step_folder(target, step), tokenizer)
            if step % checkpoint_every == 0 or step == settings.steps:
                checkpoints.save(step, args=ocp.args.StandardSave(_leaves(state)))

        if done < settings.steps:
            with metrics_log(folder, done) as log:
                steps = _recorded(way.train(state, problem, settings, seed), done, log, keep)
                state = follow(steps, settings.steps, title, say, done)

    trained = Decoder(model.config, state.weights)
    accuracy = measure_accuracies(trained, tokenizer, task.test, task.max_new_tokens, evaluation_seed, task.grader)
    say(f"{title}: " + ", ".join(f"{kind} accuracy {share.overall:.1%}" for kind, share in accuracy.items()))
    save_model(trained, target, tokenizer)
    earlier = read_json(base / TRAINING_FILE) if (base / TRAINING_FILE).is_file() else {"recipe": {}, "seconds": {}}
    record = TrainingRecord(
        name=f"{task.name}/{target.name}",
        summary=summary or f"{task.name}/{base.name} after {way.summary}.",
        task=task.description,
        command=command,
        seed=seed,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(state.weights)),
        recipe={**earlier["recipe"], "data": dict(task.data), method: dataclasses.asdict(settings)},
        seconds={**earlier["seconds"], method: sum(line["seconds"] for line in read_metrics(folder))},
        accuracy=accuracy,
    )
    write_record(target, record)  # the sign that the run is done, so it comes last
    shutil.rmtree(folder / CHECKPOINTS)
    return accuracy


def _recorded(
    run: Iterator[tuple[State, Metrics]], done: int, log: Log, keep: Callable[[int, State], None]
) -> Iterator[tuple[State, Metrics]]:
    """The steps of a run, each logged and kept before the next begins; its metrics tell the seconds that it took."""
    start = time.perf_counter()
    for step, (state, metrics) in enumerate(run, start=done + 1):
        values = {name: float(value) for name, value in metrics.items()}
        log(step, {**values, "seconds": time.perf_counter() - start})
        keep(step, state)
        yield state, metrics
        start = time.perf_counter()


def default_settings(method: str, task: TrainingTask) -> Any:
    """The lab's settings of a method, answers being as long as the task allows.

    Raises:
      ValueError: there is no such method.
    """
    settings = find_method(method).settings
    if not hasattr(settings, "max_new_tokens"):
        return settings
    return dataclasses.replace(settings, max_new_tokens=task.max_new_tokens)


def step_folder(target: Path, step: int) -> Path:
    """Where a run keeps its model of a step."""
    return target / STEPS / f"{step:06d}"


def measure_accuracies(
    model: Decoder, tokenizer: Any, test: Any, max_new_tokens: int, seed: int, grader: str = "exact"
) -> dict[str, Accuracy]:
    """ "greedy" and "sampled" (at temperature 1) -> accuracy; arguments as of `measure_accuracy`."""
    return {
        kind: measure_accuracy(
            model, tokenizer, test, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, grader=grader
        )
        for kind, temperature in (("greedy", 0.0), ("sampled", 1.0))
    }


def _identity(
    method: str, base: Path, task: TrainingTask, seed: int, settings: Any, keep_steps: Collection[int]
) -> dict[str, Any]:
    """What makes one run another; the base is told by its content, the task by all its questions."""
    return {
        "method": method,
        "seed": seed,
        "settings": repr(settings),
        "keep_steps": sorted(keep_steps),
        "base": model_identity(base, {}),
        "task": fingerprint(dataclasses.asdict(task)),
    }


def _claim(path: Path, identity: dict[str, Any]) -> None:
    """Writes what the run is, or checks that it is what stands there."""
    target = path.parents[1]
    if not path.is_file():
        if (target / TRAINING_FILE).is_file():
            raise ValueError(f"{target} holds a model that was not made there; give another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, identity)
        return
    found = read_json(path)
    if differing := [name for name in identity if found.get(name) != identity[name]]:
        told = "; ".join(f"{name}: {found.get(name)} there, {identity[name]} now" for name in differing)
        raise ValueError(f"{target} holds another run ({told}); give another folder, or remove that one")


def _leaves(tree: Any) -> dict[str, Any]:
    """Path -> array: Orbax gives plain dictionaries back as they were, whatever the tree is made of."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _restore(checkpoints: ocp.CheckpointManager, step: int, like: Tree) -> Tree:
    """The state of a step, as `like` is built."""
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, _leaves(like))
    leaves = checkpoints.restore(step, args=ocp.args.StandardRestore(abstract))
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in _leaves(like)])
