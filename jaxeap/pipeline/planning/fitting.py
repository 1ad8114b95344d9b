"""What of a run does not fit into a device's memory, each with settings that would."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from jaxeap.parallel.automatic import MeshSizes
from jaxeap.pipeline.planning.demand import Demand
from jaxeap.pipeline.planning.memory import Memory
from jaxeap.sampling.paged_cache import CacheLayout

GB = 10**9
LARGER = (2, 4, 8, 16, 32, 64)
"""Numbers of devices that are proposed."""


def problems(demand: Demand, mesh: MeshSizes, rows: tuple[int, int], usable: float) -> tuple[str, ...]:
    """What does not fit, in words; nothing where all does.

    Args:
      demand: of the run.
      mesh: that it is to run on.
      rows: batch sizes (answering, scoring).
      usable: bytes of a device that may be planned with.
    """
    weights = demand.weights(mesh)
    room = usable - weights
    larger_mesh = functools.partial(_larger_mesh, demand, mesh, rows, usable)
    if room <= 0:
        taken = f"the weights alone take {weights / GB:.1f} of {usable / GB:.1f} usable GB of a device"
        return (f"{taken}: {larger_mesh()}",)
    found = []
    if demand.work.limit and (answering := demand.answering(rows[0], mesh)).total > room:
        planner = functools.partial(demand.answering, mesh=mesh)
        cache = _smaller_cache(demand.answering(rows[0], mesh, shared=False), demand.layout(rows[0]), room)
        key = "sampling.batch_size"
        found.append(_smaller_batch(key, answering, planner, rows[0], weights, room, larger_mesh, cache))
    if (scoring := demand.scoring(rows[1], mesh)).total > room:
        planner = functools.partial(demand.scoring, mesh=mesh)
        found.append(_smaller_batch("attribution.batch_size", scoring, planner, rows[1], weights, room, larger_mesh))
    return tuple(found)


def _settings_at(demand: Demand, mesh: MeshSizes, rows: tuple[int, int], usable: float) -> list[str] | None:
    """What else to set for all to fit on a mesh; None where one row would not fit."""
    room = usable - demand.weights(mesh)
    if room <= 0:
        return None
    found: list[str] = []
    if demand.work.limit and demand.answering(rows[0], mesh).total > room:
        whole = demand.answering(rows[0], mesh, shared=False)
        if (tokens := _smaller_cache(whole, demand.layout(rows[0]), room)) is not None:
            found.append(f"--config.sampling.cache_tokens={tokens}")
        elif (fewer := _fewer_rows(functools.partial(demand.answering, mesh=mesh), rows[0], room)) is not None:
            found.append(f"--config.sampling.batch_size={fewer}")
        else:
            return None
    if demand.scoring(rows[1], mesh).total > room:
        if (fewer := _fewer_rows(functools.partial(demand.scoring, mesh=mesh), rows[1], room)) is None:
            return None
        found.append(f"--config.attribution.batch_size={fewer}")
    return found


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


def _larger_mesh(demand: Demand, mesh: MeshSizes, rows: tuple[int, int], usable: float) -> str:
    """The fewest devices over which the run fits, and with what other settings it does."""
    for devices in LARGER:
        tensor = math.gcd(devices, demand.shape.num_kv_heads)
        sizes = MeshSizes(mesh.data, devices // tensor, tensor, "proposed")
        if (settings := _settings_at(demand, sizes, rows, usable)) is not None:
            others = f" {' '.join(settings)}" if settings else ""
            return (
                f"cut the weights over {devices} devices with --config.mesh.fsdp={sizes.fsdp} "
                f"--config.mesh.tensor={tensor}{others}"
            )
    return "take devices with more memory"
