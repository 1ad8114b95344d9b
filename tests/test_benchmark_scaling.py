"""The scaling benchmark on shapes that are scored in no time: what it says of them, not how fast they are."""

import io

import pytest
import rich.console
from rich.table import Table

from benchmarks.scaling import (
    MEASURED,
    LargeShape,
    accelerator,
    accelerator_table,
    scaling,
    scaling_table,
    tasks_of,
)
from benchmarks.workloads import Shape
from jaxeap.pipeline.planning.memory import parameter_count

TINY = LargeShape(batch=2, length=32, layers=2, heads=4, kv_heads=2, head_dim=8, mlp_dim=48, vocabulary=64, counted=8)


def text_of(table: Table) -> str:
    console = rich.console.Console(file=io.StringIO(), width=120)
    console.print(table)
    return console.file.getvalue()


def test_the_large_shape_is_qwen2_7b():
    assert parameter_count(LargeShape().config()) == 7_615_616_512


def test_every_number_of_devices_measures_both_kinds_of_scaling():
    assert tasks_of(1) == [(8, "data"), (2, "data")]
    assert tasks_of(4) == [(8, "data"), (8, "fsdp"), (8, "tensor")]  # Four times two rows are eight.
    assert tasks_of(8) == [(8, "data"), (8, "fsdp"), (8, "tensor"), (16, "data")]


@pytest.mark.slow
def test_rates_of_a_device(monkeypatch):
    monkeypatch.setattr("benchmarks.scaling.peak_flops", lambda kind: 1e12)
    rows = {row["workload"]: row for row in accelerator(TINY, rounds=2)}
    assert tuple(rows) == MEASURED
    assert rows["floor"]["ratio"] == 1
    for row in rows.values():
        assert row["tokens_per_s"] == pytest.approx(2 * 32 / row["median_s"])
        assert row["share_of_peak"] == pytest.approx(row["flops_per_s"] / 1e12)
    done = {name: row["flops_per_s"] * row["median_s"] for name, row in rows.items()}
    assert done["forward"] < 0.6 * done["floor"] < done["floor"] < done["block"] < done["head"]
    assert "head" in text_of(accelerator_table("title", list(rows.values())))


@pytest.mark.slow
def test_scaling_over_devices():
    rows = list(scaling((1, 2), rounds=1, level="block", shape=Shape(4, 16, layers=1)))
    found = {(row["kind"], row["devices"], row["axis"]): row for row in rows}
    assert set(found) == {
        *(("strong", 1, "data"), ("weak", 1, "data"), ("weak", 2, "data")),
        *(("strong", 2, axis) for axis in ("data", "fsdp", "tensor")),
    }
    assert found["strong", 1, "data"]["ratio"] == found["weak", 1, "data"]["ratio"] == 1
    assert (found["weak", 2, "data"]["rows"], found["strong", 2, "fsdp"]["rows"]) == (4, 4)
    assert all(row["median_s"] > 0 for row in rows)
    assert "fsdp" in text_of(scaling_table("title", rows))
