"""Bytes, operations and time of answering: by hand where that can be done, and as XLA has it where it cannot."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from benchmarks.shapes import QWEN_7B
from benchmarks.shapes import SMALL as SHAPE
from jaxeap.models.model import Decoder
from jaxeap.pipeline.planning.answering import (
    answering_effort,
    answering_memory,
    decode_program,
    prefill_program,
    step_flops,
)
from jaxeap.pipeline.planning.program import flops, peak_bytes, tree_bytes
from jaxeap.sampling.batching import padded_length
from jaxeap.sampling.continuous import ContinuousBatch, Request
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.paged_cache import cache_layout
from tests.pipeline.conftest import tiny_model_config

TINY = tiny_model_config()
L, D, H, G, K, F, V = 2, 16, 2, 1, 8, 24, 32
OF_A_TOKEN = 2 * L * (D * H * K + 2 * D * G * K + H * K * D + 3 * D * F)  # without attention and unembedding
OF_A_PAIR = 2 * L * 2 * H * K  # attention of one token over one other


def test_cache_is_blocks_for_every_row_or_as_many_as_are_asked_for():
    options = SamplingOptions(max_new_tokens=41, cache_block=16)
    # 10 + 40 tokens are 4 blocks of 16 for each of 3 rows; keys and values, bfloat16.
    memory = answering_memory(TINY, "bfloat16", options, rows=3, longest_prompt=10)
    assert memory.parts["key/value cache"] == 2 * 2 * L * G * K * 3 * 4 * 16
    assert memory.total == sum(memory.parts.values()) > memory.parts["key/value cache"]
    double = answering_memory(TINY, "float32", options, rows=3, longest_prompt=10)
    assert double.parts["key/value cache"] == 2 * memory.parts["key/value cache"]
    bounded = dataclasses.replace(options, cache_tokens=100)  # 6 blocks
    less = answering_memory(TINY, "bfloat16", bounded, rows=3, longest_prompt=10)
    assert less.parts["key/value cache"] == 2 * 2 * L * G * K * 6 * 16
    assert less.parts["activations"] == memory.parts["activations"]
    unused = dataclasses.replace(options, cache_tokens=10_000)
    assert answering_memory(TINY, "bfloat16", unused, rows=3, longest_prompt=10) == memory
    with pytest.raises(ValueError, match=r"cache_tokens \(48\) has no room for .* 50 tokens .* at least 64"):
        answering_memory(TINY, "bfloat16", dataclasses.replace(options, cache_tokens=48), rows=3, longest_prompt=10)


@pytest.mark.parametrize("tokens", [None, 96])
def test_planned_cache_is_the_one_that_is_made(tokens):
    options = SamplingOptions(max_new_tokens=41, cache_block=16, cache_tokens=tokens)
    requests = [Request(0, 0, 0, [1] * 10)]
    batch = ContinuousBatch(Decoder.random(TINY, 0), requests, options, rows=3, longest_prompt=10, stop_tokens=())
    memory = answering_memory(TINY, "float32", options, rows=3, longest_prompt=10)
    assert tree_bytes(batch._cache) == memory.parts["key/value cache"]
    assert batch._table_width == cache_layout(TINY, options, 3, 10).table_width


def test_operations_by_hand():
    assert step_flops(TINY, "float32", 3, 50) == 3 * (OF_A_TOKEN + 50 * OF_A_PAIR + 2 * D * V)
    options = SamplingOptions(max_new_tokens=41, cache_block=16)
    reading = prefill_program(TINY, "float32", options, cache_layout(TINY, options, 3, 10), 3, 10)
    # Of a prompt only the last token is unembedded.
    assert flops(reading.traced()) == 3 * (10 * OF_A_TOKEN + 100 * OF_A_PAIR + 2 * D * V)


def effort(options: SamplingOptions, length: int, **others: Any) -> tuple[float, float]:
    chosen = {"answers": 12, "rows": 3, "prompt": 9.5, "longest_prompt": 10, "weights": 1000} | others
    chosen = {"speed": 1e30, "bandwidth": 1.0} | chosen
    return answering_effort(TINY, "float32", options, length=length, **chosen)


def test_time_is_reading_the_weights_and_what_is_filled_of_the_cache():
    options = SamplingOptions(max_new_tokens=41, cache_block=16)
    context = 30  # 9.5 + 41 / 2
    of_a_slot = 4 * 2 * L * G * K
    # 12 answers are 4 readings of 3 prompts, and 4 x 40 steps of 3 rows.
    operations, seconds = effort(options, 41)
    assert seconds == pytest.approx(4 * 1000 + 160 * (1000 + 3 * context * of_a_slot))
    reading = 3 * (10 * OF_A_TOKEN + 100 * OF_A_PAIR + 2 * D * V)
    assert operations == 4 * reading + 160 * step_flops(TINY, "float32", 3, context)
    # Where operations are what takes long, they alone count.
    assert effort(options, 41, speed=1.0, bandwidth=1e30)[1] == pytest.approx(operations)
    # A cache for 64 tokens has 64 / 30 rows of that size; each step reads less, and there are more of them.
    small = effort(dataclasses.replace(options, cache_tokens=64), 41)[1]
    assert small == pytest.approx(4 * 1000 + 480 / (64 / context) * (1000 + 64 * of_a_slot))
    # An answer of one token is drawn where its prompt is read.
    assert effort(options, 1)[1] == 4 * 1000


def planned_and_compiled(config, options: SamplingOptions, rows: int, prompt: int) -> dict[str, tuple[int, int, int]]:
    """For either program: bytes planned, bytes by XLA, and bytes that it says lie where the cache lay."""
    layout = cache_layout(config, options, rows, prompt)
    programs = {
        "prefill": prefill_program(config, "float32", options, layout, rows, padded_length(prompt)),
        "decode": decode_program(config, "float32", options, layout, rows),
    }
    cache = programs["decode"].cache
    sizes = {}
    for name, program in programs.items():
        said = program.lowered().compile().memory_analysis()
        compiled = said.temp_size_in_bytes + said.output_size_in_bytes - said.alias_size_in_bytes
        sizes[name] = peak_bytes(program.traced(), in_place=2), compiled, said.alias_size_in_bytes
    assert all(alias >= tree_bytes(cache) for *_, alias in sizes.values())
    largest = max(planned for planned, *_ in sizes.values())
    assert answering_memory(config, "float32", options, rows, prompt).parts["activations"] == largest
    return sizes


ROWS_AND_PROMPT = [
    (4, 128),
    pytest.param(4, 320, marks=pytest.mark.slow),
    pytest.param(16, 32, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("rows", "prompt"), ROWS_AND_PROMPT)
@pytest.mark.parametrize(
    "drawn", [{}, pytest.param({"temperature": 1.0, "top_p": 0.9}, marks=pytest.mark.slow)], ids=["greedy", "drawn"]
)
def test_answering_takes_what_xla_says(rows, prompt, drawn):
    options = SamplingOptions(max_new_tokens=512, cache_tokens=2560, **drawn)
    for name, (planned, compiled, _) in planned_and_compiled(SHAPE, options, rows, prompt).items():
        np.testing.assert_allclose(planned, compiled, rtol=0.15, err_msg=name)


@pytest.mark.slow
def test_answering_with_a_7b_model_takes_what_xla_says():
    options = SamplingOptions(max_new_tokens=32768, cache_tokens=131_072)
    for name, (planned, compiled, alias) in planned_and_compiled(QWEN_7B, options, 32, 320).items():
        assert alias > 15e9
        np.testing.assert_allclose(planned, compiled, rtol=0.05, err_msg=name)
