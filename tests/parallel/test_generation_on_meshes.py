"""Generation on meshes: the same answers as on one device, the cache cut by heads, and no weight or cache gathered."""

import jax
import numpy as np
import pytest

from benchmarks.collectives import collectives, large_gathers
from jaxeap.parallel.mesh import entered
from jaxeap.sampling.generate import answers
from jaxeap.sampling.options import SamplingOptions
from jaxeap.sampling.paged_cache import PagedCache
from jaxeap.sampling.step import Asked, Drawing, Rows, decode
from tests.parallel.on_meshes import CONFIG, LARGEST_GATHER, UNEVEN, decoder

PROMPTS = [[3, 4, 5, 6, 7], [9, 8, 7], [1, 2, 3, 4], [11, 12], [20, 21, 22, 23, 24, 25]]
BLOCKS, SLOTS, ROWS = 24, 16, 4


def written(shape, config=CONFIG, cache_tokens: int | None = None) -> list[list[int]]:
    options = SamplingOptions(6, batch_size=ROWS, cache_tokens=cache_tokens, cache_block=8)
    found = answers(decoder(shape, config), PROMPTS, options, stop_tokens=[0])
    return [answer.tokens for answer in sorted(found, key=lambda answer: answer.place)]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 2, 4), (4, 1, 2)])
def test_answers_are_those_of_one_device(shape):
    assert written(shape) == written(None)


@pytest.mark.slow
def test_answers_over_a_cache_with_a_table():
    assert written((2, 2, 2), cache_tokens=48) == written(None)


@pytest.mark.slow
def test_heads_that_are_not_divided():
    assert written((2, 1, 4), UNEVEN) == written(None, UNEVEN)


@pytest.mark.slow
@pytest.mark.parametrize("table", [np.zeros((ROWS, BLOCKS // ROWS), np.int32), None], ids=["table", "reserved"])
def test_the_cache_is_cut_and_neither_it_nor_a_weight_is_gathered(table):
    model = decoder((2, 2, 2))
    groups = 2 if table is None else 1
    cache = PagedCache.empty(CONFIG, BLOCKS, SLOTS, model.weights["embedding"], groups)
    cut = {shard.data.shape[1:3] for shard in cache.key.addressable_shards}
    assert cut == {(BLOCKS // groups, CONFIG.num_kv_heads // 2)}
    numbers = np.zeros(ROWS, np.int32)
    with entered(model.mesh):
        compiled = decode.lower(
            model.weights,
            CONFIG,
            cache,
            table,
            Rows(numbers, numbers, numbers, np.ones(ROWS, bool)),
            Asked(numbers.astype(np.uint32), numbers),
            jax.random.key(0),
            np.int32(ROWS + 1),
            Drawing(0.0, 0, 1.0),
            stop_tokens=(0,),
            room=8,
            max_new_tokens=20,
        ).compile()
    program = compiled.as_text()
    a_block_of_every_row = ROWS // 2 * CONFIG.num_kv_heads * CONFIG.head_dim * SLOTS
    assert a_block_of_every_row <= LARGEST_GATHER
    assert large_gathers(program, a_block_of_every_row) == []
    assert any(one.kind == "all-reduce" for one in collectives(program))
    after = compiled.output_shardings[0].key
    assert after.is_equivalent_to(cache.key.sharding, cache.key.ndim)
