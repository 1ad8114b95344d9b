"""Bytes and operations of traced programs: worked by hand where that can be done, and as XLA has it where it cannot."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.shapes import QWEN_7B
from benchmarks.shapes import SMALL as SHAPE
from jaxeap.attribution.methods.eap import EapOptions, eap
from jaxeap.attribution.settings import Settings
from jaxeap.models.parameters import abstract_weights
from jaxeap.pipeline.planning.memory import abstract_batch
from jaxeap.pipeline.planning.program import flops, peak_bytes, traced, tree_bytes


def floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_products_count_twice_their_multiplications_and_loops_as_often_as_they_run():
    def run(x, layers):
        return jax.lax.scan(lambda x, layer: (jnp.tanh(x @ layer), None), x, layers)[0]

    assert flops(traced(run, floats(3, 8), floats(5, 8, 8))) == 5 * 2 * 3 * 8 * 8
    assert flops(traced(jax.jit(lambda x, y: (x @ y).sum()), floats(3, 8), floats(8, 7))) == 2 * 3 * 8 * 7
    forth_and_back = traced(jax.grad(lambda x, y: jnp.sum(x @ y)), floats(3, 8), floats(8, 7))
    assert flops(forth_and_back) == 2 * 3 * 8 * 7  # of the two products only the gradient's is needed


def test_products_at_the_highest_precision_are_told_from_others():
    def run(x, layers):
        summed = jnp.matmul(x, x.T, precision=jax.lax.Precision.HIGHEST)
        return summed, jax.lax.scan(lambda x, layer: (x @ layer, jnp.vdot(x, x, precision="highest")), x, layers)

    program = traced(run, floats(3, 8), floats(5, 8, 8))
    assert flops(program, precise=True) == 2 * 3 * 3 * 8 + 5 * 2 * 3 * 8
    assert flops(program) == flops(program, precise=True) + 5 * 2 * 3 * 8 * 8


def test_a_loop_without_a_known_end_is_refused():
    endless = traced(lambda x: jax.lax.while_loop(lambda x: x[0, 0] < 1, lambda x: x @ x, x), floats(3, 3))
    with pytest.raises(ValueError, match="while loop"):
        flops(endless)


def test_bytes_of_small_programs():
    product = 4 * 10 * 10
    x = floats(10, 10)
    assert peak_bytes(traced(lambda x: x @ x, x)) == product
    assert peak_bytes(traced(lambda x: jnp.tanh(2 * x + 1) @ x, x)) == 2 * product  # fused up to the product's input
    assert peak_bytes(traced(lambda x: x @ x @ x @ x, x)) == 2 * product
    assert peak_bytes(traced(lambda x: (x @ x).sum(), x)) == product + 4
    unused = traced(lambda x: (x @ x, x @ x @ x)[0], x)
    assert peak_bytes(unused) == product


def test_what_a_loop_stacks_up_is_there_as_a_whole_and_its_carry_once():
    def run(x, layers):
        def step(x, layer):
            x = x @ layer
            return x, x

        return jax.lax.scan(step, x @ x, layers)

    carry, layer = 4 * 10 * 10, 4 * 10 * 10
    assert peak_bytes(traced(run, floats(10, 10), floats(7, 10, 10))) == 7 * carry + carry + layer


def test_results_in_the_place_of_what_was_given_up_count_nothing():
    def run(cache, x):
        return cache.at[0].set((x @ x)[0]), x @ x

    product, row, cache = 4 * 10 * 10, 4 * 10, 4 * 50 * 10
    program = traced(run, floats(50, 10), floats(10, 10))
    assert peak_bytes(program) == cache + product
    assert peak_bytes(program, in_place=1) == product + row


def planned_and_compiled(level: str, rows: int, length: int, width: int) -> tuple[int, int]:
    settings, weights = Settings(level, "zero", 16), abstract_weights(SHAPE)
    batch = abstract_batch(rows, length, width)
    run = functools.partial(eap, config=SHAPE, reference=None, settings=settings, options=EapOptions())
    program = traced(lambda weights, batch: run(weights, batch=batch), weights, batch)
    compiled = eap.lower(weights, SHAPE, batch, None, settings, EapOptions()).compile().memory_analysis()
    return peak_bytes(program), compiled.temp_size_in_bytes + compiled.output_size_in_bytes


@pytest.mark.slow
def test_scoring_takes_what_xla_says():
    planned, compiled = planned_and_compiled("block", rows=4, length=128, width=64)
    assert abs(planned / compiled - 1) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "rows", "length", "width"), [("head", 4, 256, 64), ("block", 8, 64, 64), ("block", 1, 1024, 16)]
)
def test_scoring_takes_what_xla_says_for_other_sizes(level, rows, length, width):
    planned, compiled = planned_and_compiled(level, rows, length, width)
    assert abs(planned / compiled - 1) < 0.15


@pytest.mark.slow
def test_scoring_a_7b_model_takes_what_xla_says(monkeypatch):
    monkeypatch.setitem(globals(), "SHAPE", QWEN_7B)
    planned, compiled = planned_and_compiled("block", rows=8, length=512, width=64)
    assert compiled > 30e9
    assert abs(planned / compiled - 1) < 0.05


def test_bytes_of_a_tree():
    assert tree_bytes({"a": floats(3, 4), "b": (np.zeros(5, np.int8), jax.ShapeDtypeStruct((2,), jnp.bfloat16))}) == 57
