"""How far the two models' predictions are apart on the same tokens, KL(tuned || base)."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxeap.attribution.divergence import head_of, predicting_residuals, token_divergences
from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import Weights
from jaxeap.parallel import hosts
from jaxeap.pipeline.execution.batches import Places, one_ahead, unfinished_batches
from jaxeap.pipeline.execution.out_of_memory import Portion, fewest_rows, in_portions
from jaxeap.pipeline.execution.progress import progress_bar
from jaxeap.pipeline.inputs.pair import ROLES, load_next, mesh_of, sources_of
from jaxeap.pipeline.scoring.texts import SMALLER_TEXTS, Texts
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import first_free, intact_tensors, read_tensors, write_tensors
from jaxeap.tasks.jsonl import read_jsonl, write_jsonl
from jaxeap.tasks.selection import Role

DIVERGENCES = "divergences.jsonl"
RESIDUALS, SUFFIX = "residuals", ".safetensors"
REMEDY = f"{SMALLER_TEXTS}, or leave the divergence out with --config.controls.divergence_questions=0"


def divergences_of(folder: Path) -> list[dict[str, Any]]:
    """{"question_id", "base_text", "tuned_text"}: each question's mean over its counted tokens, in nats."""
    return [record for _, record in read_jsonl(folder / DIVERGENCES)]


def diverge(run: StageRun) -> None:
    """Writes divergences.jsonl; until it is there, the base's last residual streams lie in files."""
    selection = selection_of(run.inputs["select"])
    settings = run.config.controls
    count = min(settings.divergence_questions, len(selection.question_ids))
    if not count:
        if hosts.is_first():
            write_jsonl(run.folder / DIVERGENCES, [])
        return
    order = np.random.default_rng(settings.seed).permutation(len(selection.question_ids))
    chosen = np.sort(order[:count]).tolist()
    texts = {role: Texts.of(selection, role, {"ablation": "zero"}).some(chosen) for role in ROLES}
    # Which of the tuned model's texts are not the base's word for word.
    other = [place for place in range(count) if texts["tuned"].scored_part(place) != texts["base"].scored_part(place)]
    asked: dict[Role, Texts] = {"base": texts["base"]}
    if other:
        asked["tuned"] = texts["tuned"].some(other)
    head, config = _keep_residuals(run, asked)
    hosts.require_seen(lambda: sorted((run.folder / RESIDUALS).rglob(f"*{SUFFIX}")))
    found = _divergences(run, asked, head, config)
    hosts.barrier("the end of the divergences")  # Every host reads the residual streams that the first then removes.
    if not hosts.is_first():
        return
    on_base = found["base"]
    on_tuned = on_base | found.get("tuned", {})
    ids = texts["base"].ids
    write_jsonl(
        run.folder / DIVERGENCES,
        ({"question_id": id_, "base_text": on_base[id_], "tuned_text": on_tuned[id_]} for id_ in ids),
    )
    shutil.rmtree(run.folder / RESIDUALS, ignore_errors=True)
    means = [float(np.mean([each[id_] for id_ in ids])) for each in (on_base, on_tuned)]
    run.say(
        f"KL(tuned || base) over {count} questions: {means[0]:.4g} nats a token on base text, {means[1]:.4g} on tuned "
        "text"
    )


def _keep_residuals(run: StageRun, texts: dict[Role, Texts]) -> tuple[Weights, ModelConfig]:
    """Writes the base's residual streams that are not there yet, a file a batch; returns what makes logits of them."""
    model = load_next(sources_of(run.config)["base"], run.config.dtype, mesh_of(run.config))

    def keep_rest(portion: Portion) -> None:
        for role, its_texts in texts.items():
            folder = run.folder / RESIDUALS / role
            kept = _kept(run, folder, its_texts)
            todo = _batches(its_texts, [id_ in kept for id_ in its_texts.ids], portion)
            start = functools.partial(_residuals, model, its_texts)
            with progress_bar(run.console, f"base model on {role} text: predicting", total=len(todo)) as advance:
                for places, residuals in one_ahead(todo, start):
                    rows = _flat(residuals, its_texts, places.real)
                    ids = [its_texts.ids[place] for place in places.real]
                    if hosts.is_first():
                        write_tensors(first_free(folder, SUFFIX), {"residuals": rows}, {"question_ids": ids})
                    advance(1)

    in_portions(run, "predicting", _asked(run), keep_rest, least=Portion(fewest_rows(model)), remedy=REMEDY)
    return head_of(model.weights, model.config), model.config


def _divergences(
    run: StageRun, texts: dict[Role, Texts], base_head: Weights, base_config: ModelConfig
) -> dict[Role, dict[str, float]]:
    """For each text the mean divergence of each question, by its id."""
    model = load_next(sources_of(run.config)["tuned"], run.config.dtype, mesh_of(run.config))
    head = head_of(model.weights, model.config)
    found: dict[Role, dict[str, float]] = {role: {} for role in texts}

    def compare_rest(portion: Portion) -> None:
        for role, its_texts in texts.items():
            kept = _kept(run, run.folder / RESIDUALS / role, its_texts)
            todo = _batches(its_texts, [id_ in found[role] for id_ in its_texts.ids], portion)
            start = functools.partial(_residuals, model, its_texts)
            with progress_bar(run.console, f"tuned model on {role} text: predicting", total=len(todo)) as advance:
                for places, residuals in one_ahead(todo, start):
                    rows = _flat(residuals, its_texts, places.real)
                    base_rows = _read_kept(kept, its_texts, places.real)
                    tokens = token_divergences(head, model.config, rows, base_head, base_config, base_rows)
                    widths = [_width(its_texts, place) for place in places.real]
                    for place, each in zip(places.real, np.split(tokens, np.cumsum(widths)[:-1]), strict=True):
                        found[role][its_texts.ids[place]] = float(each.mean(dtype=float))
                    advance(1)

    in_portions(run, "predicting", _asked(run), compare_rest, least=Portion(fewest_rows(model)), remedy=REMEDY)
    _require_finite(found)
    return found


def _kept(run: StageRun, folder: Path, texts: Texts) -> dict[str, Path]:
    """In which file of the folder a question's residual streams lie, by its id."""

    def found() -> dict[str, str]:
        def fits(tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> bool:
            return "residuals" in tensors and set(metadata.get("question_ids", ())) <= set(texts.ids)

        kept: dict[str, str] = {}
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if part := intact_tensors(path, run.say, fits):
                kept |= dict.fromkeys(part[1]["question_ids"], path.name)
        return kept

    return {id_: folder / name for id_, name in hosts.on_first(found).items()}


def _read_kept(kept: dict[str, Path], texts: Texts, places: Sequence[int]) -> np.ndarray:
    """[tokens, D] as `_flat` of the same questions, which may have been in other batches then."""
    rows: dict[str, np.ndarray] = {}
    for path in dict.fromkeys(kept[texts.ids[place]] for place in places):
        tensors, metadata = read_tensors(path)
        there = metadata["question_ids"]
        widths = [_width(texts, texts.ids.index(id_)) for id_ in there]
        rows |= dict(zip(there, np.split(tensors["residuals"], np.cumsum(widths)[:-1]), strict=True))
    return np.concatenate([rows[texts.ids[place]] for place in places])


def _asked(run: StageRun) -> Portion:
    return Portion(min(run.config.attribution.batch_size, run.config.controls.divergence_questions))


def _batches(texts: Texts, finished: Sequence[bool], portion: Portion) -> list[Places]:
    return unfinished_batches([stop for _, stop in texts.counted], finished, portion.rows)


def _residuals(model: Decoder, texts: Texts, places: Places) -> jax.Array:
    return predicting_residuals(model.weights, model.config, texts.batch(places.filled))


def _flat(residuals: jax.Array, texts: Texts, places: Sequence[int]) -> np.ndarray:
    """[B, W, D] of a batch -> [tokens, D], the counted tokens of its real questions one after another."""
    # float32 holds every bfloat16 number, and safetensors' NumPy side knows no bfloat16.
    rows = hosts.to_hosts(residuals).astype(np.float32)
    return np.concatenate([rows[row, : _width(texts, place)] for row, place in enumerate(places)])


def _width(texts: Texts, place: int) -> int:
    start, stop = texts.counted[place]
    return stop - start


def _require_finite(found: dict[Role, dict[str, float]]) -> None:
    for role, by_question in found.items():
        for id_, value in by_question.items():
            if not np.isfinite(value):
                raise ValueError(
                    f"the divergence of the models on the {role} model's answer to question {id_!r} is {value}; run "
                    "with --config.dtype=float32, or --config.controls.divergence_questions=0 to leave it out"
                )


DIVERGENCE = Stage(
    name="divergence",
    make=diverge,
    reads=("base", "tuned", "dtype", "controls.divergence_questions", "controls.seed"),
    tuning=("attribution.batch_size", "adapter_base", "mesh"),
    needs=("select",),
    on_all_hosts=True,
)
