"""The plan of a run: what it takes of memory, disk and time, and whether it fits, before any weight is read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import jax
import ml_collections

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.interventions import Ablation
from jaxeap.models.config import ModelConfig
from jaxeap.models.hub import HUB
from jaxeap.parallel.automatic import MeshSizes, device_bytes, weight_bytes
from jaxeap.pipeline.inputs.pair import USABLE, mesh_sizes
from jaxeap.pipeline.planning.answering import answering_effort, answering_memory
from jaxeap.pipeline.planning.memory import (
    NOT_TRACED,
    Memory,
    Scoring,
    chunk_bytes,
    parameter_count,
    scoring_chunk,
)
from jaxeap.pipeline.planning.on_mesh import part_of_shape, scoring_memory_on
from jaxeap.pipeline.planning.rates import Rates, rates
from jaxeap.pipeline.planning.shapes import planned_pair
from jaxeap.pipeline.planning.workload import Bucket, Workload, workload
from jaxeap.pipeline.validation import validate
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.paged_cache import CacheLayout, cache_groups, cache_layout

GB = 10**9
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
      devices: of the mesh: (data, fsdp, tensor).
      weights: bytes on each device, of the one model that is in memory at a time.
      answering: bytes while answers are written; None where they are imported.
      scoring: bytes and operations of a group's share of a batch that is scored.
      rows: batch sizes (answering, scoring).
      cache_tokens: that the key/value cache has room for; 0 where answers are imported.
      chunk: positions expanded at once while scoring, and the bytes of that.
      buckets: batches that are scored for each of the two models, by padded length.
      score_bytes: on disk.
      answering_flops, scoring_flops: of the whole run, both models; at the supposed length of answers.
      answering_hours: at the supposed length of answers, and if every answer ran to its limit.
      scoring_hours: of both models.
      rates: what time was reckoned with.
      problems: what does not fit, with what to change.
      notes: what was supposed.
    """

    config: ModelConfig
    parameters: int
    work: Workload
    device_bytes: float
    known: bool
    devices: tuple[int, int, int]
    weights: int
    answering: Memory | None
    scoring: Memory
    rows: tuple[int, int]
    cache_tokens: int
    chunk: tuple[int, int]
    buckets: tuple[Bucket, ...]
    score_bytes: int
    answering_flops: float
    scoring_flops: float
    answering_hours: tuple[float, float]
    scoring_hours: float
    rates: Rates
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def padding(self) -> float | None:
        """Share of the places of scored batches that hold no token; None where lengths are not known."""
        if any(bucket.tokens is None for bucket in self.buckets):
            return None
        places = sum(self.rows[1] * bucket.length * bucket.batches for bucket in self.buckets)
        return 1 - sum(bucket.tokens or 0.0 for bucket in self.buckets) / places

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


def plan_run(config: ml_collections.ConfigDict, measure: bool = False) -> Plan:
    """Plans a run.

    Args:
      config: all settings.
      measure: whether to measure the rates of a CPU, since the run is to go on here; see `rates`.

    Raises:
      FileNotFoundError, ValueError: the config, a model's config.json or the questions cannot be used.
    """
    validate(_pinned(config))
    shapes = planned_pair(config.base, config.tuned, config.adapter_base)
    shape = max((found for found, _ in shapes), key=parameter_count)
    work = workload(config)
    memory, known = device_bytes(config.plan.device_gb)
    mesh = mesh_sizes(config, shape)
    fsdp, tensor = mesh.fsdp, mesh.tensor
    weights = weight_bytes(shape, config.dtype, fsdp, tensor)
    method = "eap" if config.attribution.method in NOT_TRACED else config.attribution.method

    options = SamplingOptions(**config.sampling)

    def writers(rows: int, mesh: MeshSizes = mesh) -> int:
        """Groups of devices that share out the rows that are answered at once."""
        return cache_groups(cache_layout(shape, options, rows, work.longest_prompt), rows, mesh.data)

    def answering(rows: int, mesh: MeshSizes = mesh, shared: bool = True) -> Memory:
        own = rows // writers(rows, mesh) if shared else rows
        return answering_memory(part_of_shape(shape, mesh), config.dtype, options, own, work.longest_prompt)

    def share(rows: int) -> int:
        """Rows of a scored batch that each group of devices has, those among them that fill it up evenly."""
        return math.ceil(rows / mesh.data)

    def scoring(rows: int, mesh: MeshSizes = mesh) -> Memory:
        kind = config.attribution
        sizes = (work.scored_length, work.scored_width)
        of_group = Scoring(shape, config.dtype, method, kind.level, ABLATION, share(rows), *sizes)
        return scoring_memory_on(mesh, of_group)

    answers = work.questions * options.samples
    rows = min(options.batch_size, answers), min(config.attribution.batch_size, work.scored)
    layout = cache_layout(shape, options, rows[0], work.longest_prompt) if work.limit else None
    answer = answering(rows[0]) if work.limit else None
    score = scoring(rows[1])
    room = USABLE * memory - weights

    def settings_at(sizes: MeshSizes) -> list[str] | None:
        """What else to set for all to fit on a mesh; None where one row would not fit."""
        left = USABLE * memory - weight_bytes(shape, config.dtype, sizes.fsdp, sizes.tensor)
        found: list[str] = []
        if left <= 0:
            return None
        if layout is not None and answering(rows[0], sizes).total > left:
            if (tokens := _smaller_cache(answering(rows[0], sizes, shared=False), layout, left)) is not None:
                found.append(f"--config.sampling.cache_tokens={tokens}")
            elif (fewer := _fewer_rows(partial(answering, mesh=sizes), rows[0], left)) is not None:
                found.append(f"--config.sampling.batch_size={fewer}")
            else:
                return None
        if scoring(rows[1], sizes).total > left:
            if (fewer := _fewer_rows(partial(scoring, mesh=sizes), rows[1], left)) is None:
                return None
            found.append(f"--config.attribution.batch_size={fewer}")
        return found

    larger_mesh = partial(_larger_mesh, shape, mesh, settings_at)
    problems = []
    if room <= 0:
        problems.append(
            f"the weights alone take {weights / GB:.1f} of {USABLE * memory / GB:.1f} usable GB of a device: "
            + larger_mesh()
        )
    else:
        if answer is not None and layout is not None and answer.total > room:
            smaller = _smaller_cache(answering(rows[0], shared=False), layout, room)
            problems.append(
                _smaller_batch("sampling.batch_size", answer, answering, rows[0], weights, room, larger_mesh, smaller)
            )
        if score.total > room:
            problems.append(
                _smaller_batch("attribution.batch_size", score, scoring, rows[1], weights, room, larger_mesh)
            )
    graph = EdgeGraph.for_config(shape, config.attribution.level)
    # The contraction is cut along the residual width alone: every device has all nodes.
    contracted = dataclasses.replace(shape, embed_dim=part_of_shape(shape, mesh).embed_dim)
    tokens = share(rows[1]) * work.scored_length
    speed = rates(config.plan.teraflops, config.plan.gb_per_second, shape, config.dtype, tokens, measure)

    def writing(length: int) -> tuple[float, float]:
        """Operations, and hours, of answers of `length` tokens."""
        if answer is None:
            return 0.0, 0.0
        groups = writers(rows[0])
        operations, seconds = answering_effort(
            shape,
            config.dtype,
            options,
            answers=math.ceil(answers / groups),
            rows=rows[0] // groups,
            prompt=work.prompt,
            longest_prompt=work.longest_prompt,
            length=length,
            weights=weights,
            speed=speed.flops * fsdp * tensor,
            bandwidth=speed.bandwidth,
        )
        return MODELS * operations * groups, MODELS * seconds / 3600

    supposed, longest = writing(work.answer), writing(work.limit)
    buckets = work.buckets(rows[1])
    # Per token, shorter examples take the same but for attention, which is little beside the weights.
    batches = MODELS * sum(bucket.batches * bucket.length for bucket in buckets) / work.scored_length
    of_group = batches * score.flops, batches * score.precise_flops
    notes = [remark for _, remark in dict.fromkeys(shapes) if remark] + list(work.notes)
    if config.questions.startswith(HUB) and config.question_revision is None:
        notes.append("config.question_revision must be given before the run")
    if 0 in config.mesh.values() and jax.device_count() > 1:
        notes.append(f"mesh data {mesh.data} x fsdp {fsdp} x tensor {tensor}: {mesh.reason}")
    if rows[1] % mesh.data:
        notes.append(
            f"batches of {rows[1]} rows are filled up to {share(rows[1]) * mesh.data} for {mesh.data} groups of "
            f"devices; let --config.attribution.batch_size be a multiple of {mesh.data}"
        )
    if mesh.data > 1 and answer is not None and writers(rows[0]) == 1:
        notes.append(
            f"answers are not shared out by the {mesh.data} groups of devices, each writes all of them; let "
            f"--config.sampling.batch_size be a multiple of {mesh.data}, and the cache have room for all its rows"
        )
    if config.controls.null_tuned:
        notes.append("the null pair is answered and scored first: twice the time, and twice the scores on disk")
    if fsdp * tensor > 1:
        notes.append("time supposes that devices share out the work evenly and wait for no communication")
    if method != config.attribution.method:
        notes.append(f"method {config.attribution.method} runs many programs; scoring is planned as that of eap")
    return Plan(
        config=shape,
        parameters=parameter_count(shape),
        work=work,
        device_bytes=memory,
        known=known,
        devices=(mesh.data, fsdp, tensor),
        weights=weights,
        answering=answer,
        scoring=score,
        rows=rows,
        cache_tokens=0 if layout is None else layout.tokens,
        chunk=(
            scoring_chunk(contracted, config.attribution.level, work.scored_length),
            chunk_bytes(contracted, config.attribution.level, work.scored_length),
        ),
        buckets=buckets,
        score_bytes=4 * len(graph.sources) * len(graph.destinations) * work.scored * MODELS,
        answering_flops=supposed[0],
        scoring_flops=of_group[0] * mesh.data,
        answering_hours=(supposed[1], longest[1]),
        scoring_hours=speed.seconds(*of_group) / (fsdp * tensor) / 3600,
        rates=speed,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _pinned(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The settings as if questions from the Hub were pinned: a plan fetches none of them."""
    pinned = config.copy_and_resolve_references()
    if (config.questions or "").startswith(HUB) and config.question_revision is None:
        pinned.question_revision = "0" * 40
    return pinned


def _smaller_cache(memory: Memory, layout: CacheLayout, room: float) -> int | None:
    """Tokens of a cache that fits beside as many rows; None where one for a single answer would not fit either."""
    held = memory.parts["key/value cache"]
    blocks = int((room - memory.total + held) // (held / layout.blocks))
    if blocks < layout.longest:
        return None
    tokens = blocks * layout.slots
    return max(tokens - tokens % 1024, layout.longest * layout.slots)


def _smaller_batch(
    key: str,
    memory: Memory,
    planner: Callable[[int], Memory],
    rows: int,
    weights: int,
    room: float,
    larger_mesh: Callable[[], str],
    cache_tokens: int | None = None,
) -> str:
    taken = f"{key} {rows}: {(weights + memory.total) / GB:.1f} GB of {(weights + room) / GB:.1f} usable GB of a device"
    fitting = [] if cache_tokens is None else [f"--config.sampling.cache_tokens={cache_tokens}"]
    fewer = _fewer_rows(planner, rows, room)
    if fewer is not None:
        fitting.append(f"--config.{key}={fewer}")
    if fitting:
        return f"{taken}; {' or '.join(fitting)} fits"
    shorter = "sampling.max_new_tokens" if key.startswith("sampling") else "selection.alpha"
    return f"{taken}; even one row does not fit: lower {shorter}, or {larger_mesh()}"


def _fewer_rows(planner: Callable[[int], Memory], rows: int, room: float) -> int | None:
    """Half as many, or a quarter and so on, that fit."""
    return next((rows >> half for half in range(1, rows.bit_length()) if planner(rows >> half).total <= room), None)


def _larger_mesh(shape: ModelConfig, mesh: MeshSizes, settings_at: Callable[[MeshSizes], list[str] | None]) -> str:
    """The fewest devices over which the run fits, and with what other settings it does."""
    for devices in (2, 4, 8, 16, 32, 64):
        tensor = math.gcd(devices, shape.num_kv_heads)
        sizes = MeshSizes(mesh.data, devices // tensor, tensor, "proposed")
        if (settings := settings_at(sizes)) is not None:
            others = f" {' '.join(settings)}" if settings else ""
            return (
                f"cut the weights over {devices} devices with --config.mesh.fsdp={sizes.fsdp} "
                f"--config.mesh.tensor={tensor}{others}"
            )
    return "take devices with more memory"
