"""The sharding rules."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from jaxeap.models.families import FAMILIES, read_model_config
from jaxeap.models.parameters import parameter_specs
from jaxeap.parallel.mesh import entered, make_mesh
from jaxeap.parallel.sharding import PARAMETERS, RULES, ShardingRules, constrain, sharding_of
from tests.models.tiny_checkpoints import attributes_of, write_checkpoint

QUERY = ("layers", "embed", "heads", "head")


@pytest.fixture(scope="module")
def mesh() -> jax.sharding.Mesh:
    return make_mesh(fsdp=2, tensor=4)


def test_default_is_tensor_parallelism_within_and_fsdp_across(mesh: jax.sharding.Mesh):
    rules = ShardingRules()
    assert rules.partition((3, 20, 8, 4), QUERY, mesh) == PartitionSpec(None, "fsdp", "tensor", None)
    assert rules.partition((32, 20), ("vocab", "embed"), mesh) == PartitionSpec("tensor", "fsdp")
    assert rules.partition((3, 28, 20), ("layers", "mlp", "embed"), mesh) == PartitionSpec(None, "tensor", "fsdp")


def test_axes_that_the_devices_do_not_divide_stay_whole(mesh: jax.sharding.Mesh):
    assert ShardingRules().partition((3, 21, 6, 4), QUERY, mesh) == PartitionSpec(None, None, None, None)


def test_two_axes_along_one_are_refused(mesh: jax.sharding.Mesh):
    with pytest.raises(ValueError, match=r"axes \('vocab', 'embed'\) of one parameter would share a mesh axis"):
        ShardingRules(embed="tensor").partition((32, 20), ("vocab", "embed"), mesh)


def test_rules_that_collide_for_any_kind_of_array_are_refused_when_they_are_declared():
    with pytest.raises(ValueError, match=r"axes \('layers', 'embed', 'heads', 'head'\) of one parameter"):
        ShardingRules(head="tensor", kv_heads=None)
    with pytest.raises(ValueError, match=r"axes \('batch', 'positions', 'residual'\) of residual would share"):
        ShardingRules(residual=("fsdp", "data"))
    with pytest.raises(ValueError, match="of scores would share"):
        ShardingRules(sources="data")


@pytest.mark.parametrize("family", [*FAMILIES])
def test_every_parameter_is_checked(family: str, tmp_path):
    attributes = attributes_of(family)
    write_checkpoint(tmp_path, attributes, {})
    declared = [set(axes) for axes in PARAMETERS]
    for name, spec in parameter_specs(read_model_config(tmp_path)).items():
        assert any(set(spec.axes) <= axes for axes in (*declared, {"layers", "positions", "embed"})), name


def test_a_width_is_cut_by_as_many_axes_as_divide_it(mesh: jax.sharding.Mesh):
    axes = ("batch", "positions", "residual")
    assert RULES.partition((4, 7, 16), axes, mesh) == PartitionSpec("data", None, ("fsdp", "tensor"))
    assert RULES.partition((4, 7, 12), axes, mesh) == PartitionSpec("data", None, "fsdp")  # 12 is no multiple of 8
    assert RULES.partition((4, 7, 9), axes, mesh) == PartitionSpec("data", None, None)


def test_arrays_are_constrained_where_a_mesh_is_entered_and_left_alone_where_none_is(mesh: jax.sharding.Mesh):
    x = np.ones((2, 4, 3, 16), np.float32)  # one more axis than "residual" has: layers
    assert constrain(x, "residual") is x
    placed = jax.device_put(x, NamedSharding(mesh, PartitionSpec()))
    with entered(mesh):
        out = jax.jit(lambda x: constrain(2 * x, "residual"))(placed)
        inside = jax.jit(
            jax.shard_map(lambda x: constrain(x, "residual"), in_specs=PartitionSpec(), out_specs=PartitionSpec())
        )(placed)
    assert out.sharding.is_equivalent_to(NamedSharding(mesh, PartitionSpec(None, "data", None, ("fsdp", "tensor"))), 4)
    np.testing.assert_array_equal(inside, x)


def test_rules_can_be_others(mesh: jax.sharding.Mesh):
    sharding = sharding_of(
        (3, 20, 8, 4), QUERY, mesh, ShardingRules(embed=None, heads=None, kv_heads=None, head="tensor")
    )
    assert sharding == NamedSharding(mesh, PartitionSpec(None, None, None, "tensor"))
    array = jax.device_put(np.zeros((3, 20, 8, 4), np.float32), sharding)
    assert {shard.data.shape for shard in array.addressable_shards} == {(3, 20, 8, 1)}


def test_no_mesh_is_the_default_device():
    assert sharding_of((32, 20), ("vocab", "embed"), None) == SingleDeviceSharding(jax.devices()[0])
