"""The plan of a run: what it takes of memory, disk and time, and whether it fits, before any weight is read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import jax
import ml_collections

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.models.config import ModelConfig
from jaxeap.models.hub import HUB
from jaxeap.parallel.automatic import MeshSizes, device_bytes
from jaxeap.pipeline.inputs.pair import USABLE, mesh_sizes
from jaxeap.pipeline.planning.answering import answering_effort
from jaxeap.pipeline.planning.demand import Demand
from jaxeap.pipeline.planning.fitting import problems
from jaxeap.pipeline.planning.memory import Memory, chunk_bytes, parameter_count, scoring_chunk
from jaxeap.pipeline.planning.on_mesh import part_of_shape
from jaxeap.pipeline.planning.rates import Rates, rates
from jaxeap.pipeline.planning.shapes import planned_pair
from jaxeap.pipeline.planning.workload import Bucket, Workload, workload
from jaxeap.pipeline.validation import validate

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
    memory, known = device_bytes(config.plan.device_gb)
    mesh = mesh_sizes(config, shape)
    demand = Demand.of(config, shape, workload(config))
    work, level = demand.work, config.attribution.level
    rows = min(config.sampling.batch_size, demand.answers), min(config.attribution.batch_size, work.scored)
    layout = demand.layout(rows[0]) if work.limit else None
    scoring = demand.scoring(rows[1], mesh)
    tokens = demand.share(rows[1], mesh) * work.scored_length
    speed = rates(config.plan.teraflops, config.plan.gb_per_second, shape, config.dtype, tokens, measure)
    supposed, longest = (_writing(demand, mesh, rows[0], speed, length) for length in (work.answer, work.limit))
    buckets = work.buckets(rows[1])
    # Per token, shorter examples take the same but for attention, which is little beside the weights.
    batches = MODELS * sum(bucket.batches * bucket.length for bucket in buckets) / work.scored_length
    of_group = batches * scoring.flops, batches * scoring.precise_flops
    graph = EdgeGraph.for_config(shape, level)
    # The contraction is cut along the residual width alone: every device has all nodes.
    contracted = dataclasses.replace(shape, embed_dim=part_of_shape(shape, mesh).embed_dim)
    return Plan(
        config=shape,
        parameters=parameter_count(shape),
        work=work,
        device_bytes=memory,
        known=known,
        devices=(mesh.data, mesh.fsdp, mesh.tensor),
        weights=demand.weights(mesh),
        answering=demand.answering(rows[0], mesh) if work.limit else None,
        scoring=scoring,
        rows=rows,
        cache_tokens=0 if layout is None else layout.tokens,
        chunk=(
            scoring_chunk(contracted, level, work.scored_length),
            chunk_bytes(contracted, level, work.scored_length),
        ),
        buckets=buckets,
        score_bytes=4 * len(graph.sources) * len(graph.destinations) * work.scored * MODELS,
        answering_flops=supposed[0],
        scoring_flops=of_group[0] * mesh.data,
        answering_hours=(supposed[1], longest[1]),
        scoring_hours=speed.seconds(*of_group) / (mesh.fsdp * mesh.tensor) / 3600,
        rates=speed,
        problems=problems(demand, mesh, rows, USABLE * memory),
        notes=(*(remark for _, remark in dict.fromkeys(shapes) if remark), *_notes(config, demand, mesh, rows)),
    )


def _writing(demand: Demand, mesh: MeshSizes, rows: int, speed: Rates, length: int) -> tuple[float, float]:
    """Operations, and hours, of both models' answers of `length` tokens; none where they are imported."""
    if not demand.work.limit:
        return 0.0, 0.0
    groups = demand.writers(rows, mesh)
    operations, seconds = answering_effort(
        demand.shape,
        demand.dtype,
        demand.options,
        answers=math.ceil(demand.answers / groups),
        rows=rows // groups,
        prompt=demand.work.prompt,
        longest_prompt=demand.work.longest_prompt,
        length=length,
        weights=demand.weights(mesh),
        speed=speed.flops * mesh.fsdp * mesh.tensor,
        bandwidth=speed.bandwidth,
    )
    return MODELS * operations * groups, MODELS * seconds / 3600


def _notes(config: ml_collections.ConfigDict, demand: Demand, mesh: MeshSizes, rows: tuple[int, int]) -> Iterator[str]:
    """What was supposed, and what of the settings is not for the best."""
    yield from demand.work.notes
    if config.questions.startswith(HUB) and config.question_revision is None:
        yield "config.question_revision must be given before the run"
    if 0 in config.mesh.values() and jax.device_count() > 1:
        yield f"mesh data {mesh.data} x fsdp {mesh.fsdp} x tensor {mesh.tensor}: {mesh.reason}"
    if rows[1] % mesh.data:
        yield (
            f"batches of {rows[1]} rows are filled up to {demand.share(rows[1], mesh) * mesh.data} for {mesh.data} "
            f"groups of devices; let --config.attribution.batch_size be a multiple of {mesh.data}"
        )
    if mesh.data > 1 and demand.work.limit and demand.writers(rows[0], mesh) == 1:
        yield (
            f"answers are not shared out by the {mesh.data} groups of devices, each writes all of them; let "
            f"--config.sampling.batch_size be a multiple of {mesh.data}, and the cache have room for all its rows"
        )
    if config.controls.null_tuned:
        yield "the null pair is answered and scored first: twice the time, and twice the scores on disk"
    if mesh.fsdp * mesh.tensor > 1:
        yield "time supposes that devices share out the work evenly and wait for no communication"
    if demand.method != config.attribution.method:
        yield f"method {config.attribution.method} runs many programs; scoring is planned as that of eap"


def _pinned(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The settings as if questions from the Hub were pinned: a plan fetches none of them."""
    pinned = config.copy_and_resolve_references()
    if (config.questions or "").startswith(HUB) and config.question_revision is None:
        pinned.question_revision = "0" * 40
    return pinned
