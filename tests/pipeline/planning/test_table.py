"""What of a plan is printed."""

import io

import rich.console

from jaxeap.pipeline.planning import plan_run, print_plan, print_short_plan
from jaxeap.pipeline.planning.table import grid_plan_table, plan_rows


def test_rows_and_lines(config):
    plan = plan_run(config)
    rows = {item: (value, how) for item, value, how in plan_rows(plan, config) if item}
    assert rows["questions"] == ("11", "each asked of both models; 11 are scored at most")
    assert rows["devices"][0] == "1"
    assert rows["weights"] == (f"{plan.weights / 1e3:.1f} kB", "float32, a device; one model at a time")
    assert "key/value cache" in rows["answering"][1] and "captures and gradients" in rows["scoring"][1]
    assert "which is supposed: 150 TFLOP/s and 1000 GB/s" in rows["time"][1]

    assert rows["disk"] == (f"{plan.score_bytes / 1e3:.1f} kB", "edge scores")
    details = [how for item, _, how in plan_rows(plan, config) if not item]
    assert any(how.startswith("4 batches of a model, padded to 10; ") and "is padding" in how for how in details)
    assert any(how.startswith("of both models' own texts alone") and "audit" in how for how in details)

    console = rich.console.Console(file=io.StringIO(), width=130)
    print_plan(plan, config, console)
    print_short_plan(plan, console)
    console.print(grid_plan_table({"one/cell": plan, "another/cell": plan}))
    said = console.file.getvalue()
    assert said.count("supposed") >= 3
    assert f"plan: 11 questions, {plan.parameters / 1e3:.3g} k parameters; answering" in said
    assert said.count("yes") == 2
