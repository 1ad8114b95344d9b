"""The mesh."""

import jax
import pytest
from jax.sharding import AxisType

from jaxeap.parallel.mesh import AXES, make_mesh


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
