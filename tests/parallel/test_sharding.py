"""The sharding rules."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from jaxeap.parallel.mesh import make_mesh
from jaxeap.parallel.sharding import ShardingRules, sharding_of

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


def test_rules_can_be_others(mesh: jax.sharding.Mesh):
    sharding = sharding_of(
        (3, 20, 8, 4), QUERY, mesh, ShardingRules(embed=None, heads=None, kv_heads=None, head="tensor")
    )
    assert sharding == NamedSharding(mesh, PartitionSpec(None, None, None, "tensor"))
    array = jax.device_put(np.zeros((3, 20, 8, 4), np.float32), sharding)
    assert {shard.data.shape for shard in array.addressable_shards} == {(3, 20, 8, 1)}


def test_no_mesh_is_the_default_device():
    assert sharding_of((32, 20), ("vocab", "embed"), None) == SingleDeviceSharding(jax.devices()[0])
