"""Parts of the memory, against their sizes worked out by hand."""

import numpy as np
import pytest

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.models.load import load_model
from jaxeap.models.parameters import abstract_weights
from jaxeap.parallel.automatic import weight_bytes
from jaxeap.parallel.mesh import make_mesh
from jaxeap.pipeline.planning.memory import (
    Scoring,
    chunk_bytes,
    parameter_count,
    scoring_chunk,
    scoring_memory,
)
from jaxeap.pipeline.planning.program import tree_bytes
from tests.pipeline.conftest import tiny_model_config

SHAPE = tiny_model_config()
L, D, H, G, K = 2, 16, 2, 1, 8


def test_weights_are_those_that_are_loaded(pair_folder):
    assert weight_bytes(SHAPE, "float32") == tree_bytes(abstract_weights(SHAPE)) == 4 * parameter_count(SHAPE)
    assert weight_bytes(SHAPE, "bfloat16") == 2 * parameter_count(SHAPE)
    weights = load_model(pair_folder / "base", mesh=make_mesh(fsdp=2, tensor=2)).weights
    arrays = [array for array in (*weights["layers"].values(), weights["embedding"], weights["final_norm"])]
    on_first = sum(array.addressable_shards[0].data.nbytes for array in arrays)
    assert weight_bytes(SHAPE, "float32", fsdp=2, tensor=2) == on_first < weight_bytes(SHAPE, "float32") / 2


@pytest.mark.parametrize("level", ["block", "head"])
def test_scoring_holds_captures_gradients_and_scores(level):
    rows, length = 3, 12
    memory = scoring_memory(Scoring(SHAPE, "float32", "eap", level, "zero", rows, length, 4))
    attention, taps = (D, 3 * D) if level == "block" else (H * K, (H + 2 * G) * K)
    of_a_layer = attention + D + taps + D + D  # attention's and the MLP's outputs; all taps; what attention reads
    assert memory.parts["captures and gradients"] == 4 * rows * length * (L * of_a_layer + 2 * D)
    graph = EdgeGraph.for_config(SHAPE, level)
    assert memory.parts["scores"] == 4 * rows * graph.mask.size
    assert memory.parts["activations"] > 0


def test_more_examples_take_more_and_the_same_operations_each():
    few, many = (scoring_memory(Scoring(SHAPE, "float32", "eap", "block", "zero", rows, 12, 4)) for rows in (2, 4))
    assert many.flops == 2 * few.flops
    np.testing.assert_allclose(many.total / few.total, 2, rtol=0.2)


def test_chunk_is_that_of_the_contraction():
    graph = EdgeGraph.for_config(SHAPE, "head")
    assert scoring_chunk(SHAPE, "head", 100) == 100
    assert chunk_bytes(SHAPE, "head", 100) == 4 * (len(graph.sources) + len(graph.destinations)) * 100 * D
