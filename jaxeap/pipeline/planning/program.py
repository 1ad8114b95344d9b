"""What a traced program takes: floating-point operations, and bytes at its worst moment. Nothing is compiled or run.

`jax.make_jaxpr` on abstract arrays gives the program that would be run, for models of any size, in a second. Both
counts are read off it, so they follow the code when it changes.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var
from jax.interpreters.partial_eval import dce_jaxpr

Shapes = Any
"""A pytree of arrays or `jax.ShapeDtypeStruct`s."""

COSTLY = frozenset(
    ("cos", "div", "erf", "exp", "exp2", "log", "log1p", "logistic", "pow", "rsqrt", "sin", "sqrt", "tanh")
)
"""What XLA computes inside the operation that reads it, but once for all where two operations do, and keeps then."""
FUSED = COSTLY | {
    "abs", "add", "add_any", "and", "broadcast_in_dim", "clamp", "convert_element_type", "copy", "eq", "ge", "gt",
    "integer_pow", "iota", "is_finite", "le", "lt", "max", "min", "mul", "ne", "neg", "not", "or", "reshape",
    "select_n", "sign", "slice", "square", "squeeze", "stop_gradient", "sub", "transpose",
}  # fmt: skip
"""What XLA computes inside the operation that reads it, so that its output takes no memory of its own."""


def traced(function: Callable[..., Any], *arguments: Shapes) -> ClosedJaxpr:
    """The program of `function` on abstract arguments, without what its results do not need."""
    closed = jax.make_jaxpr(function)(*arguments)
    kept, _ = dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars), instantiate=True)
    return ClosedJaxpr(kept, closed.consts)


def tree_bytes(tree: Shapes) -> int:
    """Bytes of all arrays of a tree."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def flops(program: ClosedJaxpr, precise: bool = False) -> int:
    """Operations of the matrix products, a multiplication and an addition being two; loops count as often as they run.

    Args:
      program: as `traced` gives it.
      precise: only of products at the highest precision, which accelerators take several times as long for.

    Raises:
      ValueError: there is a `while` loop, of which nobody knows beforehand how often it runs.
    """
    return sum(_equation_flops(equation, precise) for equation in program.jaxpr.eqns)


def _equation_flops(equation: Any, precise: bool) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        if precise and not _at_highest_precision(parameters["precision"]):
            return 0
        (contracted, _), _ = parameters["dimension_numbers"]
        left, out = equation.invars[0].aval, equation.outvars[0].aval
        return 2 * math.prod(out.shape) * math.prod(left.shape[axis] for axis in contracted)
    if name == "while":
        raise ValueError("the program has a while loop, whose number of rounds is not known; count one round instead")
    if name == "cond":
        return max(flops(branch, precise) for branch in parameters["branches"])
    times = parameters["length"] if name == "scan" else 1
    return times * sum(flops(inner, precise) for inner in _inner(parameters))


def _at_highest_precision(precision: Any) -> bool:
    of_both = precision if isinstance(precision, tuple) else (precision,)
    return jax.lax.Precision.HIGHEST in of_both


def peak_bytes(program: ClosedJaxpr, in_place: int = 0) -> int:
    """Bytes that the program holds at its worst moment, its results included and its arguments not.

    The first `in_place` results take the places of arguments that are given up (donated), so they count nothing.

    A value takes memory from where it is made to where it was last read; one that XLA fuses into its readers takes
    none, but keeps what it was made of. A loop's carry is updated in place, what it stacks up is there from its start.
    That is how XLA assigns buffers, but for the order in which it runs what could run in any order.
    """
    return _peak(program.jaxpr, in_place=in_place)


@dataclasses.dataclass(eq=False)
class _Value:
    """One value of a flattened program."""

    bytes: int
    given: bool = False
    last_read: int = -1
    held: bool = True


@dataclasses.dataclass(eq=False)
class _Step:
    """One operation of a flattened program."""

    name: str
    reads: list[_Value]
    makes: list[_Value]
    parameters: Mapping[str, Any]


def _peak(jaxpr: Jaxpr, in_place: int = 0, sliced: int = 0) -> int:
    """`peak_bytes`; of a loop's body without its outputs, which the loop holds, and with its last `sliced` inputs.

    Those are a layer's part of what lies stacked over layers, which matrix products read from a place of its own.
    """
    steps: list[_Step] = []
    environment = {var: _Value(0, given=True) for var in (*jaxpr.invars, *jaxpr.constvars)}
    for var in jaxpr.invars[len(jaxpr.invars) - sliced :]:
        part = _Value(_bytes(var))
        steps.append(_Step("slice", [environment[var]], [part], {}))
        environment[var] = part
    _flatten(jaxpr, environment, steps)
    results = [environment[var] for var in jaxpr.outvars if isinstance(var, Var)]
    for value in [environment[var] for var in jaxpr.outvars[:in_place] if isinstance(var, Var)]:
        value.bytes = 0
    end = len(steps)
    for value in results:
        value.last_read = end
    by_others: set[int] = {id(value) for value in results}
    readers: Counter[int] = Counter()
    for number, step in enumerate(steps):
        readers.update({id(value) for value in step.reads})
        for value in step.reads:
            value.last_read = max(value.last_read, number)
            if step.name not in FUSED and not step.name.startswith("reduce_"):
                by_others.add(id(value))
    for step in reversed(steps):  # What is fused into a reader lives in it, and so do what it reads.
        if step.name not in FUSED or (made := id(step.makes[0])) in by_others:
            continue
        if step.name not in COSTLY or readers[made] < 2:
            step.makes[0].held = False
            for value in step.reads:
                value.last_read = max(value.last_read, step.makes[0].last_read)
    return _most_held(steps)


def _most_held(steps: list[_Step]) -> int:
    held = most = 0
    ends: dict[int, list[_Value]] = {}
    for number, step in enumerate(steps):
        inside, aliased = _inside(step, number)
        made = sum(value.bytes for value in step.makes if value.held)
        most = max(most, held + made + inside - aliased)
        held += made
        for value in (*step.makes, *step.reads):
            if not value.given and value.held and value.bytes:
                ends.setdefault(value.last_read, []).append(value)
        held -= sum(value.bytes for value in dict.fromkeys(ends.pop(number, [])))
    return most


def _inside(step: _Step, number: int) -> tuple[int, int]:
    """Bytes that an operation holds besides its results, and bytes of its results that take an argument's place."""
    if step.name == "scan":
        carries, consts = step.parameters["carries"], step.parameters["constants"]
        carried = step.reads[consts : consts + carries]
        aliased = sum(value.bytes for value in carried if not value.given and value.last_read <= number)
        body = step.parameters["jaxpr"].jaxpr
        return _peak(body, len(body.outvars), sliced=len(body.invars) - consts - carries), aliased
    if step.name == "while":
        consts = step.parameters["cond_nconsts"] + step.parameters["body_nconsts"]
        aliased = sum(v.bytes for v in step.reads[consts:] if not v.given and v.last_read <= number)
        body = step.parameters["body_jaxpr"].jaxpr
        return _peak(body, len(body.outvars)), aliased
    if step.name == "cond":
        return max(_peak(branch.jaxpr, len(branch.jaxpr.outvars)) for branch in step.parameters["branches"]), 0
    if step.name in ("scatter", "dynamic_update_slice", "scatter-add") and step.reads:
        first = step.reads[0]
        return 0, first.bytes if not first.given and first.last_read <= number else 0
    return 0, 0


def _flatten(jaxpr: Jaxpr, environment: dict[Var, _Value], steps: list[_Step]) -> None:
    """Appends the operations of `jaxpr`, those of functions that it calls among them."""
    for equation in jaxpr.eqns:
        reads = [environment[v] if isinstance(v, Var) else _Value(0, given=True) for v in equation.invars]
        inner = None if equation.primitive.name in ("scan", "while", "cond") else next(_inner(equation.params), None)
        if inner is not None:
            called: dict[Var, _Value] = {var: _Value(0, given=True) for var in inner.jaxpr.constvars}
            for var, argument in zip(inner.jaxpr.invars, equation.invars, strict=True):
                called[var] = environment[argument] if isinstance(argument, Var) else _Value(0, given=True)
            _flatten(inner.jaxpr, called, steps)
            for var, result in zip(equation.outvars, inner.jaxpr.outvars, strict=True):
                environment[var] = _Value(0, given=True) if isinstance(result, Literal) else called[result]
            continue
        makes = [_Value(_bytes(var)) for var in equation.outvars]
        environment.update(zip(equation.outvars, makes, strict=True))
        counts = _scan_counts(equation) if equation.primitive.name == "scan" else {}
        steps.append(_Step(equation.primitive.name, reads, makes, equation.params | counts))


def _scan_counts(equation: Any) -> dict[str, int]:
    """How many inputs of a scan are its carry, and how many every round reads whole; the others it goes through.

    Told by their ranks, since the operation's own parameters say it otherwise in every other version of JAX.
    """

    def whole(inner: Any, outer: Any) -> bool:
        return len(inner.aval.shape) == len(outer.aval.shape)

    body = equation.params["jaxpr"].jaxpr
    carries = sum(map(whole, body.outvars, equation.outvars))
    return {"carries": carries, "constants": sum(map(whole, body.invars, equation.invars)) - carries}


def _bytes(var: Any) -> int:
    return math.prod(var.aval.shape) * var.aval.dtype.itemsize


def _inner(parameters: Mapping[str, Any]) -> Iterator[ClosedJaxpr]:
    """The program that an operation calls (as `jit` and `scan` do), if it calls one."""
    for name in ("jaxpr", "call_jaxpr"):
        if isinstance(value := parameters.get(name), ClosedJaxpr):
            yield value
        elif isinstance(value, Jaxpr):
            yield ClosedJaxpr(value, ())
