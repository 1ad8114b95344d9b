"""Logits, gradients and scores on meshes against one device: values, where they lie, and what was sent for them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jaxeap
from benchmarks.collectives import collectives, large_gathers
from jaxeap.attribution.attribute import METHODS
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits import Circuit, faithfulness
from jaxeap.attribution.divergence import head_of, predicting_residuals, token_divergences
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.settings import Settings
from jaxeap.parallel.mesh import entered, make_mesh
from jaxeap.parallel.sharding import ARRAYS, RULES, axes_of
from tests.parallel.on_meshes import (
    CONFIG,
    COUNTED,
    LARGEST_GATHER,
    UNEVEN,
    compiled,
    computed,
    decoder,
    matrices,
    ragged,
)

MESHES = [
    (2, 2, 2),
    pytest.param((8, 1, 1), marks=pytest.mark.slow),
    pytest.param((1, 2, 4), marks=pytest.mark.slow),
    pytest.param((1, 4, 2), marks=pytest.mark.slow),
]
BEHIND_PADDING = ("logits",)


def real(array: jax.Array, path: str) -> np.ndarray:
    """What has a meaning: the rest may be any number."""
    whole = np.asarray(array, np.float64)
    return whole[ragged().mask] if any(name in path for name in BEHIND_PADDING) else whole


def assert_same(one, other, tolerance: float) -> None:
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True):
        name = jax.tree_util.keystr(path)
        a, b = real(a, name), real(b, name)
        np.testing.assert_allclose(b, a, rtol=0, atol=tolerance * np.abs(a).max(), err_msg=name)


@pytest.mark.parametrize("shape", MESHES)
def test_values_are_those_of_one_device(shape):
    assert_same(computed(None), computed(shape), 3e-6)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 1, 4), (1, 2, 4)])
def test_what_a_mesh_does_not_divide_stays_whole_and_right(shape):
    assert_same(computed(None, UNEVEN), computed(shape, UNEVEN), 3e-6)


@pytest.mark.parametrize("shape", MESHES)
def test_everything_lies_where_the_rules_say(shape):
    found = computed(shape)
    layers = found.trace.captures.layers
    gradients = found.trace.gradients
    kinds = {
        "scores": [found.block, found.head],
        "loss": [found.trace.loss, found.gradient_norm],
        "logits": [found.logits],
        "heads": [layers.heads, gradients.layers.query],
        "kv_heads": [gradients.layers.key, gradients.layers.value],
        "residual": [
            found.trace.captures.embedding,
            found.trace.captures.final,
            layers.attention,
            layers.mlp,
            layers.attention_input,
            layers.mlp_input,
            gradients.layers.mlp,
            gradients.final,
        ],
    }
    mesh = decoder(shape).mesh
    for kind, arrays in kinds.items():
        for array in arrays:
            where = NamedSharding(mesh, RULES.partition(array.shape, axes_of(kind, array.ndim), mesh))
            assert array.sharding.is_equivalent_to(where, array.ndim), (kind, array.shape, array.sharding.spec)
    # The same in figures: a device has its share of what is stored, and no more.
    data, fsdp, tensor = shape
    part = layers.mlp.addressable_shards[0].data.size
    assert part * data * fsdp * tensor == layers.mlp.size
    assert found.head.addressable_shards[0].data.size * data == found.head.size
    assert kinds.keys() <= ARRAYS.keys()


@pytest.mark.parametrize("shape", MESHES)
def test_no_weight_and_no_chunk_of_nodes_is_gathered(shape):
    program, (data, fsdp, _) = compiled(shape).as_text(), shape
    rows, width = ragged().size // data, CONFIG.embed_dim // fsdp
    read = {(rows, length, width) for length in (ragged().tokens.shape[1], ragged().targets.shape[1])}
    assert large_gathers(program, LARGEST_GATHER, but=read) == []
    sent = {one.shape for one in collectives(program) if one.kind != "all-to-all"}
    assert not sent & set(matrices(CONFIG))
    if shape != (8, 1, 1):  # which cuts no weight
        assert any(one.kind == "all-reduce" for one in collectives(program))


def test_the_limit_is_below_every_weight_and_every_chunk_of_nodes():
    assert min(map(math.prod, matrices(CONFIG))) == 2 * LARGEST_GATHER
    assert computed((2, 2, 2)).head.shape[1] * CONFIG.embed_dim > LARGEST_GATHER / 2  # sources of one position


def test_a_gathered_weight_is_found():
    mesh = make_mesh(2, 2, 2)

    def product(x: jax.Array, weight: jax.Array) -> jax.Array:
        return x @ jax.lax.with_sharding_constraint(weight, PartitionSpec())

    weight = jax.device_put(np.ones((96, 64), np.float32), NamedSharding(mesh, PartitionSpec("fsdp", "tensor")))
    x = jax.device_put(np.ones((4, 96), np.float32), NamedSharding(mesh, PartitionSpec("data", "fsdp")))
    with entered(mesh):
        gathered = jax.jit(product).lower(x, weight).compile().as_text()
        summed = jax.jit(jnp.matmul).lower(x, weight).compile().as_text()
    assert large_gathers(gathered, LARGEST_GATHER)
    assert not large_gathers(summed, LARGEST_GATHER)


def test_each_group_of_devices_is_given_its_own_examples():
    batch = Batch.from_sequences([[1, 2, 3]] * 3 + [[4, 5, 6, 7]], [(1, 3)] * 4)
    mesh = make_mesh(2, 2, 2)
    there = batch.on(mesh)
    for name in ("tokens", "mask", "targets", "target_mask", "first"):
        array = getattr(there, name)
        assert array.sharding.spec[0] == "data"
        for shard in array.addressable_shards:
            rows = 0 if shard.device in mesh.devices[0] else 2
            np.testing.assert_array_equal(shard.data, getattr(batch, name)[rows : rows + 2])
    assert there.corrupted is None
    assert batch.on(None).tokens is batch.tokens


@pytest.mark.slow
def test_a_batch_that_groups_do_not_share_out_evenly():
    batch = ragged(7)
    result = jaxeap.attribute(decoder((2, 2, 2)), batch, level="head", chunk=4)
    assert result.scores.shape[0] == result.loss.shape[0] == result.gradient_norm.shape[0] == len(COUNTED) - 1
    expected = np.asarray(computed(None).head)
    np.testing.assert_allclose(result.scores, expected[:7], rtol=0, atol=3e-6 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("method", [*METHODS])
@pytest.mark.parametrize("level", ["block", "head"])
def test_every_method_gives_what_it_gives_on_one_device(method, level):
    some = np.argwhere(EdgeGraph.for_config(CONFIG, level).mask)[::7][:3]
    options = {"edges": some} if method == "exact" else {}
    options |= {"steps": 2} if "ig" in method else {}
    ablation = "zero" if method == "information_flow" else "corrupted"
    one, other = (
        jaxeap.attribute(decoder(shape), ragged(), method=method, level=level, ablation=ablation, **options)
        for shape in (None, (2, 2, 2))
    )
    for name in ("scores", "loss", "gradient_norm"):
        a, b = np.asarray(getattr(one, name)), getattr(other, name)
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * np.nanmax(np.abs(a)), err_msg=name)
        assert b.sharding.spec[0] == "data"


@pytest.mark.slow
def test_means_circuits_and_divergences_are_those_of_one_device():
    batch = ragged(7)  # which two groups do not share out evenly
    graph = EdgeGraph.for_config(CONFIG, "block")
    edges = graph.mask & (np.arange(graph.mask.size).reshape(graph.mask.shape) % 2 == 0)
    half = Circuit(edges, graph, int(edges.sum()))
    found = []
    for shape in (None, (2, 2, 2)):
        model = decoder(shape)
        mean = jaxeap.mean_sources(model, batch)
        faithful = faithfulness(model, batch, half, ablation="mean", reference=mean)
        residuals = np.asarray(predicting_residuals(model.weights, CONFIG, batch))
        head = head_of(model.weights, CONFIG)
        divergences = token_divergences(head, CONFIG, residuals[0], head, CONFIG, residuals[1])
        means = (mean.embedding, mean.heads, mean.mlp)
        found.append(
            [*means, faithful.values, faithful.full, faithful.empty, residuals[batch.target_mask], divergences]
        )
    for one, other in zip(*found, strict=True):
        one = np.asarray(one)
        np.testing.assert_allclose(np.asarray(other), one, rtol=0, atol=1e-5 * np.abs(one).max())


@pytest.mark.slow
def test_integrated_gradients_gather_no_weight_in_their_loop():
    model = decoder((2, 2, 2))
    function, options = METHODS["eap_ig_inputs"]
    settings = Settings("head", "zero", 4)
    with entered(model.mesh):
        program = function.lower(model.weights, CONFIG, ragged(), None, settings, options()).compile().as_text()
    assert large_gathers(program, LARGEST_GATHER) == []
