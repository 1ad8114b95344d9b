"""A plan as a table, and the plans of a grid as one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import ml_collections
import rich.console
from rich import box
from rich.table import Table

from jaxeap.pipeline.planning.fitting import GB
from jaxeap.pipeline.planning.memory import Memory
from jaxeap.pipeline.planning.plan import USABLE, Plan

NOT_COUNTED = (
    "of both models' own texts alone: without cross-text scores, audit, bands, correlates, circuits and the null pair"
)


def plan_table(plan: Plan, config: ml_collections.ConfigDict) -> Table:
    """One row for each thing that a run takes."""
    table = Table("Plan", "", "", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in plan_rows(plan, config):
        table.add_row(*row)
    return table


def plan_rows(plan: Plan, config: ml_collections.ConfigDict) -> list[tuple[str, str, str]]:
    """Item, value, and how it comes about."""
    work, data, fsdp, tensor = plan.work, *plan.devices
    count = data * fsdp * tensor
    rows = [
        ("model", _short(plan.parameters), f"parameters; {plan.config.family}, {plan.config.num_layers} layers"),
        ("questions", f"{work.questions:,}", f"each asked of both models; {work.scored:,} are scored at most"),
        ("devices", f"{count}", f"mesh data {data} x fsdp {fsdp} x tensor {tensor}; {_memory(plan)}"),
        ("weights", _gb(plan.weights), f"{config.dtype}, a device; one model at a time"),
    ]
    if plan.answering is not None:
        tokens = 2 * work.questions * config.sampling.samples * (work.prompt + work.answer)
        rows += [
            ("tokens", _short(tokens), f"{work.prompt:.0f} + {work.answer} a question; an answer {work.limit} at most"),
            ("answering", _gb(plan.weights + plan.answering.total), _parts(plan.answering)),
            ("", "", _rows(plan)),
            ("", f"{_short(plan.answering_flops)}FLOP", _hours(*plan.answering_hours)),
        ]
    rows += [
        ("scoring", _gb(plan.weights + plan.scoring.total), _parts(plan.scoring)),
        ("", "", _scored_rows(plan)),
        ("", "", _batches(plan)),
        ("", "", f"expanded {plan.chunk[0]} positions at once, {_gb(plan.chunk[1])}, after the backward pass"),
        ("", f"{_short(plan.scoring_flops)}FLOP", _hours(plan.scoring_hours)),
        ("disk", _gb(plan.score_bytes), "edge scores"),
        ("time", "", _rates(plan)),
        ("", "", NOT_COUNTED),
    ]
    return rows


def print_plan(plan: Plan, config: ml_collections.ConfigDict, console: rich.console.Console) -> None:
    """The table, what was supposed, and what does not fit."""
    console.print(plan_table(plan, config))
    for note in plan.notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    for problem in plan.problems:
        console.print(f"does not fit: {problem}", style="bold", markup=False, highlight=False, soft_wrap=True)
    if not plan.problems:
        most = max(plan.weights + memory.total for memory in (plan.answering, plan.scoring) if memory is not None)
        console.print(f"fits: {_gb(most)} of {_gb(plan.usable)} usable at the worst moment", highlight=False)


def print_short_plan(plan: Plan, console: rich.console.Console) -> None:
    """The start of a run: one line, and what does not fit."""
    answering = ""
    if plan.answering is not None:
        answering = f"answering {_gb(plan.weights + plan.answering.total)}, "
    console.print(
        f"plan: {plan.work.questions:,} questions, {_short(plan.parameters)} parameters; {answering}scoring "
        f"{_gb(plan.weights + plan.scoring.total)} of {_gb(plan.usable)} usable a device "
        f"({'known' if plan.known else 'supposed'}); scores {_gb(plan.score_bytes)} on disk; {_times(plan)}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for problem in plan.problems:
        console.print(f"may not fit: {problem}", style="bold", markup=False, highlight=False, soft_wrap=True)


def grid_plan_table(plans: Mapping[str, Plan]) -> Table:
    """One row a cell."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title="Plan", title_justify="left")
    for name in ("cell", "questions", "weights", "answering", "scoring", "time answering", "time scoring", "fits"):
        table.add_column(name, justify="left" if name == "cell" else "right")
    for name, plan in plans.items():
        answering = "" if plan.answering is None else _gb(plan.weights + plan.answering.total)
        table.add_row(
            name,
            f"{plan.work.questions:,}",
            _gb(plan.weights),
            answering,
            _gb(plan.weights + plan.scoring.total),
            _time(plan.answering_hours[0]),
            _time(plan.scoring_hours),
            "no" if plan.problems else "yes",
        )
    return table


def _memory(plan: Plan) -> str:
    how = "as set or as the device says" if plan.known else "supposed"
    return f"{_gb(plan.device_bytes)} each ({how}), {USABLE:.0%} of it usable"


def _parts(memory: Memory) -> str:
    return "weights, " + ", ".join(f"{name} {_gb(size)}" for name, size in memory.parts.items())


def _rows(plan: Plan) -> str:
    each = f"{_counted(plan.rows[0], 'row')} of up to {plan.work.longest_prompt} + {plan.work.limit} tokens"
    return f"{each}; room for {plan.cache_tokens:,} in all"


def _scored_rows(plan: Plan) -> str:
    width = plan.work.scored_width
    return f"{_counted(plan.rows[1], 'row')} of {plan.work.scored_length} tokens, {width} of them counted"


def _batches(plan: Plan) -> str:
    """The batches of one model by their length."""
    lengths = [bucket.length for bucket in plan.buckets]
    count = math.ceil(sum(bucket.batches for bucket in plan.buckets))
    if plan.padding is None:
        return f"{_counted(count, 'batch')} of a model, all supposed to be as long as the longest"
    shown = ", ".join(map(str, lengths)) if len(lengths) <= 4 else f"{len(lengths)} lengths from {lengths[-1]}"
    return f"{_counted(count, 'batch')} of a model, padded to {shown}; {plan.padding:.0%} of that is padding"


def _rates(plan: Plan) -> str:
    found = plan.rates
    precise = ""
    if found.precise_flops != found.flops:
        precise = f" ({found.precise_flops / 1e12:.3g} in float32 at the highest precision)"
    return (
        f"operations and bytes over a rate, which is {found.origin}: {found.flops / 1e12:.3g} TFLOP/s{precise} and "
        f"{found.bandwidth / 1e9:.4g} GB/s a device"
    )


def _times(plan: Plan) -> str:
    """The short plan's: what the rates are and what follows for the time."""
    answering = "" if plan.answering is None else f"about {_time(plan.answering_hours[0])} of answering and "
    return (
        f"{answering}{_time(plan.scoring_hours)} of scoring at {plan.rates.flops / 1e12:.3g} TFLOP/s and "
        f"{plan.rates.bandwidth / 1e9:.4g} GB/s a device ({plan.rates.origin}), compiling not counted"
    )


def _hours(hours: float, most: float | None = None) -> str:
    limit = "" if most is None else f", at most {_time(most)} if every answer ran to its limit"
    return f"about {_time(hours)}{limit}"


def _time(hours: float) -> str:
    """In the unit in which it is a number that one can read."""
    unit, size = next((pair for pair in (("h", 1.0), ("min", 60.0)) if hours * pair[1] >= 1), ("s", 3600.0))
    return f"{hours * size:.3g} {unit}"


def _gb(size: float) -> str:
    if size >= GB / 10:
        return f"{size / GB:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _counted(number: int, name: str) -> str:
    """`1 row`, `4 rows`, `2 batches`."""
    plural = f"{name}es" if name.endswith("ch") else f"{name}s"
    return f"{number:,} {name if number == 1 else plural}"


def _short(number: float) -> str:
    for power, letter in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{number / 10**power:.3g} {letter}"
    return f"{number:,.0f} "
