"""The mesh."""

import jax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxeap.parallel.mesh import AXES, entered, entered_mesh, example_groups, make_mesh, mesh_of_arrays


def test_shape_and_axes():
    mesh = make_mesh(data=2, fsdp=1, tensor=4)
    assert dict(mesh.shape) == {"data": 2, "fsdp": 1, "tensor": 4}
    assert mesh.axis_names == AXES
    assert mesh.axis_types == (AxisType.Auto,) * 3  # jax.make_mesh alone would make them Explicit


def test_it_may_take_fewer_devices_than_there_are():
    assert list(make_mesh(tensor=2).devices.flat) == jax.devices()[:2]
    assert make_mesh().devices.shape == (1, 1, 1)


def test_more_devices_than_there_are():
    with pytest.raises(ValueError, match="a mesh of 4 x 2 x 2 needs 16 devices, there are 8"):
        make_mesh(data=4, fsdp=2, tensor=2)


def test_the_mesh_of_arrays_is_entered_and_left():
    mesh = make_mesh(data=2, tensor=2)
    on_mesh = jax.device_put(jax.numpy.ones(4), NamedSharding(mesh, PartitionSpec("data")))
    assert mesh_of_arrays({"a": 1, "b": on_mesh}) == mesh
    assert mesh_of_arrays(jax.numpy.ones(4)) is None
    with entered(mesh):
        assert dict(entered_mesh().shape) == {"data": 2, "fsdp": 1, "tensor": 2}
        with entered(None):
            assert entered_mesh() is not None
    assert entered_mesh() is None
    assert (example_groups(mesh), example_groups(None)) == (2, 1)


def test_inside_jit_nobody_knows():
    mesh = make_mesh(data=2)
    seen = []
    jax.jit(lambda x: seen.append(mesh_of_arrays(x)) or x)(
        jax.device_put(jax.numpy.ones(4), NamedSharding(mesh, PartitionSpec()))
    )
    assert seen == [None]
