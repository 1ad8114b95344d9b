"""What devices can do at most, as their makers publish it: the scale against which an achieved rate is read."""

from __future__ import annotations

import re

PEAK_TERAFLOPS = {
    # docs.cloud.google.com/tpu/docs/v4, v5e, v5p and v6e: "peak compute per chip (bf16)".
    "TPU v4": 275.0,
    "TPU v5 lite": 197.0,
    "TPU v5e": 197.0,
    "TPU v5": 459.0,
    "TPU v5p": 459.0,
    "TPU v6 lite": 918.0,
    "TPU v6e": 918.0,
    # NVIDIA's data sheets: "BFLOAT16 Tensor Core" without sparsity, which is half of what most of them print.
    "NVIDIA A100": 312.0,
    "NVIDIA H100": 989.0,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H100 NVL": 835.0,
    "NVIDIA H200": 989.0,
    "NVIDIA H200 NVL": 835.0,
    "NVIDIA GH200": 989.0,
    "NVIDIA B200": 2250.0,
    "NVIDIA L4": 121.0,
    "NVIDIA L40S": 362.0,
}
"""Dense bfloat16 matrix products, 10^12 operations a second, by the name with which a device's kind begins."""
SLICE = "MIG"
"""In the kind of a part of a GPU, whose peak depends on how it was cut."""


def peak_flops(device_kind: str) -> float | None:
    """Operations a second of bfloat16 matrix products at most; None for kinds that are not in the table."""
    if SLICE in device_kind:
        return None
    found = [name for name in PEAK_TERAFLOPS if re.match(rf"{re.escape(name)}(?!\w)", device_kind)]
    return 1e12 * PEAK_TERAFLOPS[max(found, key=len)] if found else None
