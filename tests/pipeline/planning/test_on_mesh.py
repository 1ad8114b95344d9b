"""A device's part of a batch that is scored: what is cut, what every device has whole, what changes places."""

import dataclasses
import math

import jax
import pytest

from benchmarks.shapes import SMALL
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.models.parameters import parameter_specs
from jaxeap.parallel.automatic import MeshSizes
from jaxeap.pipeline.planning.memory import Scoring, scoring_memory
from jaxeap.pipeline.planning.on_mesh import part_of_shape, scoring_memory_on

MESH = MeshSizes(1, 2, 2, "")


def scoring(level: str = "head", **others) -> Scoring:
    return dataclasses.replace(Scoring(SMALL, "bfloat16", "eap", level, "zero", 4, 64, 16), **others)


def test_a_part_has_its_share_of_width_heads_neurons_and_vocabulary():
    part = part_of_shape(SMALL, MESH)
    assert (part.embed_dim, part.num_heads, part.num_kv_heads) == (64, 2, 1)
    assert (part.mlp_dim, part.vocab_size, part.num_layers) == (512, 1024, 8)


def test_without_a_cut_model_it_is_the_plan_of_one_device():
    assert scoring_memory_on(MeshSizes(4, 1, 1, ""), scoring()) == scoring_memory(scoring())


def test_scores_are_whole_on_every_device_and_captures_are_cut():
    one, cut = scoring_memory(scoring()), scoring_memory_on(MESH, scoring())
    graph = EdgeGraph.for_config(SMALL, "head")
    assert cut.parts["scores"] == one.parts["scores"] == 4 * 4 * graph.mask.size
    assert one.parts["captures and gradients"] / 4 <= cut.parts["captures and gradients"] < one.total / 2
    assert cut.flops == one.flops


@pytest.mark.parametrize(("platform", "copies"), [("gpu", 0), ("cpu", 1), ("tpu", 3)])
def test_attention_weights_that_change_places_lie_there_twice(platform, copies, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    without = scoring_memory_on(MESH, scoring())
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    specs = parameter_specs(SMALL)
    moved = sum(math.prod(specs[f"layers/{name}"].shape) for name in ("query", "key", "value", "output")) // 4
    norms = 8 * 64  # of the part of the width
    assert scoring_memory_on(MESH, scoring()).total - without.total == copies * 2 * (moved + norms)
    block = scoring_memory_on(MESH, scoring("block"))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert block == scoring_memory_on(MESH, scoring("block"))


def test_where_scores_are_most_the_contraction_is_what_counts():
    """A few tokens of a narrow model with many heads: the scores, and the same on the way to the graph's order."""
    heads = {"num_heads": 32, "num_kv_heads": 32, "head_dim": 2, "embed_dim": 64, "mlp_dim": 16, "vocab_size": 64}
    memory = scoring_memory_on(MESH, scoring(config=dataclasses.replace(SMALL, **heads), rows=1, length=4, width=2))
    assert memory.total > 2 * memory.parts["scores"] > 20 * memory.parts["captures and gradients"]
