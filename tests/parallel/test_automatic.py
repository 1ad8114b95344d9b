"""The mesh that is chosen for a model."""

import dataclasses

import pytest

from benchmarks.shapes import LLAMA_70B, QWEN_7B
from jaxeap.parallel.automatic import choose_mesh, device_bytes, weight_bytes

GB = 10**9


@pytest.mark.parametrize(
    ("shape", "devices", "usable", "sizes"),
    [
        (QWEN_7B, 1, 73, (1, 1, 1)),
        (QWEN_7B, 8, 73, (8, 1, 1)),  # fits each: nothing is cut
        (QWEN_7B, 8, 14.7, (2, 1, 4)),  # v5e-8: 4 key heads
        (LLAMA_70B, 8, 73, (2, 1, 4)),
        (LLAMA_70B, 64, 14.7, (2, 4, 8)),  # 8 key heads, then the width
        (LLAMA_70B, 64, 29, (4, 2, 8)),
    ],
)
def test_the_fewest_devices_that_hold_the_weights_as_often_as_there_are(shape, devices, usable, sizes):
    chosen = choose_mesh(shape, "bfloat16", devices, usable * GB, rows=32)
    assert chosen[:3] == sizes
    data, fsdp, tensor = sizes
    assert weight_bytes(shape, "bfloat16", fsdp, tensor) <= 0.5 * usable * GB
    assert shape.num_heads % tensor == shape.num_kv_heads % tensor == shape.embed_dim % (fsdp * tensor) == 0
    assert chosen.devices == data * fsdp * tensor <= devices


def test_it_says_why():
    chosen = choose_mesh(QWEN_7B, "bfloat16", 8, 14.7 * GB, rows=32)
    assert chosen.reason == (
        "3.81 GB of weights a device over 4 devices of 14.7 usable GB; 2 such groups share out the examples"
    )
    assert "; 24 devices of 32 not used" in choose_mesh(QWEN_7B, "bfloat16", 32, 73 * GB, rows=8).reason


def test_what_is_given_is_kept():
    assert choose_mesh(QWEN_7B, "bfloat16", 8, 73 * GB, 32, (0, 2, 0))[:3] == (4, 2, 1)
    assert choose_mesh(QWEN_7B, "bfloat16", 8, 73 * GB, 32, (0, 1, 4))[:3] == (2, 1, 4)
    assert choose_mesh(QWEN_7B, "bfloat16", 8, 10 * GB, 32, (2, 0, 0))[:3] == (2, 1, 4)
    with pytest.raises(ValueError, match="a mesh of 4 x 1 x 4 needs 16 devices, there are 8"):
        choose_mesh(QWEN_7B, "bfloat16", 8, 73 * GB, 32, (4, 0, 4))


def test_a_model_that_fits_nowhere_takes_all_and_says_so():
    chosen = choose_mesh(LLAMA_70B, "bfloat16", 8, 14.7 * GB, rows=32)
    assert chosen.devices == 8
    assert chosen.reason.startswith("17.6 GB of weights a device, even over 8 devices of 14.7 usable GB")


def test_odd_heads_are_cut_along_the_width_alone():
    odd = dataclasses.replace(QWEN_7B, num_heads=21, num_kv_heads=3)
    assert choose_mesh(odd, "bfloat16", 8, 14.7 * GB, rows=32)[1:3] == (4, 1)


def test_memory_of_a_device_that_does_not_say():
    assert device_bytes(None) == (80e9, False)
    assert device_bytes(16) == (16e9, True)
