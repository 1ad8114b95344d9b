"""The plan of a run: what it takes of memory, disk and time, and whether it fits, before any weight is read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import jax
import ml_collections

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.interventions import Ablation
from jaxeap.models.config import ModelConfig
from jaxeap.models.hub import HUB
from jaxeap.pipeline.planning.memory import (
    Memory,
    answering_memory,
    chunk_bytes,
    parameter_count,
    scoring_chunk,
    scoring_memory,
    weight_bytes,
)
from jaxeap.pipeline.planning.shapes import planned_pair
from jaxeap.pipeline.planning.workload import Workload, workload
from jaxeap.pipeline.stages.attribute import OWN_TEXT
from jaxeap.pipeline.validation import validate

GB = 10**9
SUPPOSED_GB = 80.0
USABLE = 0.92
"""Share of a device's memory that a run may plan with; the rest is the runtime's."""
NOT_TRACED = ("exact",)
"""Methods that run programs one after another; a plan of one is that of EAP."""
ABLATION: Ablation = "zero"
"""What is traced; other ablations need more inputs, which take next to nothing beside the captures."""
MODELS = 2


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run takes.

    Attributes:
      config: the decoder's shape.
      parameters: of one model.
      work: how much there is to answer and to score.
      device_bytes: memory of a device.
      known: whether the device, or a setting, said so; else it is supposed.
      devices: of the mesh: (fsdp, tensor).
      weights: bytes on each device, of the one model that is in memory at a time.
      answering: bytes and operations of a batch; None where answers are imported.
      scoring: the same of a batch that is scored.
      rows: batch sizes (answering, scoring).
      chunk: positions expanded at once while scoring, and the bytes of that.
      score_bytes: on disk.
      answering_flops, scoring_flops: of the whole run, both models.
      answering_hours: at the supposed length of answers, and if every answer ran to its limit.
      scoring_hours: of both models.
      problems: what does not fit, with what to change.
      notes: what was supposed.
    """

    config: ModelConfig
    parameters: int
    work: Workload
    device_bytes: float
    known: bool
    devices: tuple[int, int]
    weights: int
    answering: Memory | None
    scoring: Memory
    rows: tuple[int, int]
    chunk: tuple[int, int]
    score_bytes: int
    answering_flops: float
    scoring_flops: float
    answering_hours: tuple[float, float]
    scoring_hours: float
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def usable(self) -> float:
        """Bytes that may be planned with."""
        return USABLE * self.device_bytes

    def require(self) -> None:
        """Refuses a run that cannot fit.

        Raises:
          ValueError: it does not fit into a memory that is known; where it is only supposed, nothing is refused.
        """
        if self.problems and self.known:
            raise ValueError("the run does not fit: " + "; ".join(self.problems))


def plan_run(config: ml_collections.ConfigDict) -> Plan:
    """Plans a run.

    Raises:
      FileNotFoundError, ValueError: the config, a model's config.json or the questions cannot be used.
    """
    validate(_pinned(config))
    shapes = planned_pair(config.base, config.tuned, config.adapter_base)
    shape = max((found for found, _ in shapes), key=parameter_count)
    work = workload(config)
    device_bytes, known = device_memory(config.plan.device_gb)
    fsdp, tensor = config.mesh.fsdp, config.mesh.tensor
    weights = weight_bytes(shape, config.dtype, fsdp, tensor)
    method = "eap" if config.attribution.method in NOT_TRACED else config.attribution.method

    def answering(rows: int) -> Memory:
        return answering_memory(shape, config.dtype, rows, work.padded_prompt, work.padded_prompt + work.limit - 1)

    def scoring(rows: int) -> Memory:
        kind = config.attribution
        sizes = (work.scored_length, work.scored_width)
        return scoring_memory(shape, config.dtype, method, kind.level, ABLATION, rows, *sizes)

    rows = min(config.sampling.batch_size, work.questions), min(config.attribution.batch_size, work.scored)
    answer = answering(rows[0]) if work.limit else None
    score = scoring(rows[1])
    room = USABLE * device_bytes - weights
    problems = []
    if room <= 0:
        problems.append(
            f"the weights alone take {weights / GB:.1f} of {USABLE * device_bytes / GB:.1f} usable GB of a device: "
            + _larger_mesh(shape, config.dtype, USABLE * device_bytes)
        )
    else:
        for key, memory, planner, count in (
            ("sampling.batch_size", answer, answering, rows[0]),
            ("attribution.batch_size", score, scoring, rows[1]),
        ):
            if memory is not None and memory.total > room:
                problems.append(_smaller_batch(key, memory, planner, count, weights, room, shape, config))
    graph = EdgeGraph.for_config(shape, config.attribution.level)
    steps, flops = _times(config, work, answer, score, rows, weights, fsdp * tensor)
    notes = [remark for _, remark in dict.fromkeys(shapes) if remark] + list(work.notes)
    if config.questions.startswith(HUB) and config.question_revision is None:
        notes.append("config.question_revision must be given before the run")
    if fsdp * tensor > 1:
        notes.append("all but the weights is counted whole on every device, which is the most that it can be")
        notes.append("time supposes that devices share out the work evenly and wait for no communication")
    if method != config.attribution.method:
        notes.append(f"method {config.attribution.method} runs many programs; scoring is planned as that of eap")
    return Plan(
        config=shape,
        parameters=parameter_count(shape),
        work=work,
        device_bytes=device_bytes,
        known=known,
        devices=(fsdp, tensor),
        weights=weights,
        answering=answer,
        scoring=score,
        rows=rows,
        chunk=(
            scoring_chunk(shape, config.attribution.level, work.scored_length),
            chunk_bytes(shape, config.attribution.level, work.scored_length),
        ),
        score_bytes=4 * len(graph.sources) * len(graph.destinations) * work.scored * len(OWN_TEXT),
        answering_flops=flops[0],
        scoring_flops=flops[1],
        answering_hours=(steps[0], steps[1]),
        scoring_hours=steps[2],
        problems=tuple(problems),
        notes=tuple(notes),
    )


def device_memory(setting: float | None) -> tuple[float, bool]:
    """Bytes of a device, and whether that is known: as set, else as the device says, else supposed."""
    if setting is not None:
        return setting * GB, True
    statistics: Mapping[str, int] = jax.local_devices()[0].memory_stats() or {}
    limit = statistics.get("bytes_limit")
    return (float(limit), True) if limit else (SUPPOSED_GB * GB, False)


def _pinned(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The settings as if questions from the Hub were pinned: a plan fetches none of them."""
    pinned = config.copy_and_resolve_references()
    if (config.questions or "").startswith(HUB) and config.question_revision is None:
        pinned.question_revision = "0" * 40
    return pinned


def _times(
    config: ml_collections.ConfigDict,
    work: Workload,
    answering: Memory | None,
    scoring: Memory,
    rows: tuple[int, int],
    weights: int,
    devices: int,
) -> tuple[tuple[float, float, float], tuple[float, float]]:
    """Hours (answering, answering at most, scoring), and operations (answering, scoring), of both models."""
    speed, bandwidth = 1e12 * config.plan.teraflops * devices, GB * config.plan.gb_per_second
    batches = math.ceil(work.scored / rows[1])
    scoring_flops = MODELS * batches * scoring.flops
    if answering is None:
        return (0.0, 0.0, scoring_flops / speed / 3600), (0.0, scoring_flops)
    groups = MODELS * work.questions / rows[0]
    read = weights + answering.parts["key/value cache"]  # Every step reads both, whatever the batch.
    step = max(answering.flops_per_step / speed, read / bandwidth)
    seconds = [groups * (answering.flops / speed + length * step) for length in (work.answer, work.limit)]
    answering_flops = groups * (answering.flops + work.answer * answering.flops_per_step)
    hours = seconds[0] / 3600, seconds[1] / 3600, scoring_flops / speed / 3600
    return hours, (answering_flops, scoring_flops)


def _smaller_batch(
    key: str,
    memory: Memory,
    planner: Callable[[int], Memory],
    rows: int,
    weights: int,
    room: float,
    shape: ModelConfig,
    config: ml_collections.ConfigDict,
) -> str:
    taken = f"{key} {rows}: {(weights + memory.total) / GB:.1f} GB of {(weights + room) / GB:.1f} usable GB of a device"
    fewer = rows
    while fewer > 1:
        fewer //= 2
        if planner(fewer).total <= room:
            return f"{taken}; --config.{key}={fewer} fits"
    least = planner(1).total
    shorter = "sampling.max_new_tokens" if key.startswith("sampling") else "selection.alpha"
    remedy = _larger_mesh(shape, config.dtype, weights + room - least)
    return f"{taken}; even one row does not fit: lower {shorter}, or {remedy}"


def _larger_mesh(shape: ModelConfig, dtype: str, room: float) -> str:
    for devices in (2, 4, 8, 16, 32, 64):
        tensor = math.gcd(devices, shape.num_kv_heads)
        if weight_bytes(shape, dtype, devices // tensor, tensor) <= 0.9 * room:
            return (
                f"cut the weights over {devices} devices with --config.mesh.fsdp={devices // tensor} "
                f"--config.mesh.tensor={tensor}"
            )
    return "take devices with more memory"
