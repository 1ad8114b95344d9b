"""How far the two models' predictions are apart on the same tokens, KL(tuned || base)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.attribution.divergence import head_of, predicting_residuals, token_divergences
from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import Weights
from jaxeap.parallel import hosts
from jaxeap.pipeline.artifacts import intact_tensors, read_tensors, write_tensors
from jaxeap.pipeline.batches import Places, unfinished_batches
from jaxeap.pipeline.pair import ROLES, load_next, mesh_of, sources_of
from jaxeap.pipeline.progress import progress_bar
from jaxeap.pipeline.scoring import Texts
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.tasks.jsonl import read_jsonl, write_jsonl
from jaxeap.tasks.selection import Role

DIVERGENCES = "divergences.jsonl"
RESIDUALS = "residuals"


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
    hosts.require_seen(lambda: sorted((run.folder / RESIDUALS).glob("*.safetensors")))
    found = _divergences(run, asked, head, config)
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
    for role, its_texts in texts.items():
        batches = _batches(its_texts, run.config.attribution.batch_size)
        with progress_bar(run.console, f"base model on {role} text: predicting", total=len(batches)) as advance:
            for number, places in enumerate(batches):
                path = run.folder / RESIDUALS / f"{role}_{number:05d}.safetensors"
                ids = [its_texts.ids[place] for place in places.real]
                if not hosts.on_first(lambda path=path, ids=ids: _is_kept(run, path, ids)):  # type: ignore[misc]
                    rows = _flat(_residuals(model, its_texts, places), its_texts, places.real)
                    if hosts.is_first():
                        write_tensors(path, {"residuals": rows}, {"question_ids": ids})
                advance(1)
    return head_of(model.weights, model.config), model.config


def _is_kept(run: StageRun, path: Path, ids: list[str]) -> bool:
    return bool(intact_tensors(path, run.say, lambda _, metadata: metadata.get("question_ids") == ids))


def _divergences(
    run: StageRun, texts: dict[Role, Texts], base_head: Weights, base_config: ModelConfig
) -> dict[Role, dict[str, float]]:
    """For each text the mean divergence of each question, by its id."""
    model = load_next(sources_of(run.config)["tuned"], run.config.dtype, mesh_of(run.config))
    head = head_of(model.weights, model.config)
    found: dict[Role, dict[str, float]] = {role: {} for role in texts}
    for role, its_texts in texts.items():
        batches = _batches(its_texts, run.config.attribution.batch_size)
        with progress_bar(run.console, f"tuned model on {role} text: predicting", total=len(batches)) as advance:
            for number, places in enumerate(batches):
                tensors, _ = read_tensors(run.folder / RESIDUALS / f"{role}_{number:05d}.safetensors")
                rows = _flat(_residuals(model, its_texts, places), its_texts, places.real)
                tokens = token_divergences(head, model.config, rows, base_head, base_config, tensors["residuals"])
                widths = [_width(its_texts, place) for place in places.real]
                for place, each in zip(places.real, np.split(tokens, np.cumsum(widths)[:-1]), strict=True):
                    found[role][its_texts.ids[place]] = float(each.mean(dtype=float))
                advance(1)
    _require_finite(found)
    return found


def _batches(texts: Texts, batch_size: int) -> list[Places]:
    return unfinished_batches([stop for _, stop in texts.counted], [False] * len(texts.ids), batch_size)


def _residuals(model: Decoder, texts: Texts, places: Places) -> np.ndarray:
    batch = texts.batch(places.filled)
    # float32 holds every bfloat16 number, and safetensors' NumPy side knows no bfloat16.
    return hosts.to_hosts(predicting_residuals(model.weights, model.config, batch)).astype(np.float32)


def _flat(residuals: np.ndarray, texts: Texts, places: Sequence[int]) -> np.ndarray:
    """[B, W, D] of a batch -> [tokens, D], the counted tokens of its real questions one after another."""
    return np.concatenate([residuals[row, : _width(texts, place)] for row, place in enumerate(places)])


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
