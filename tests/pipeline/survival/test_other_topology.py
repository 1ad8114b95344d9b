"""A run that is stopped while it scores on one device and goes on, on several."""

import jax
import numpy as np
import pytest

from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.scoring.scores import iterate_scores
from jaxeap.pipeline.stage import read_manifest
from jaxeap.pipeline.stages import STAGES
from tests.pipeline.test_runner import Interrupted, interrupt_at


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 1), (2, 2)])
def test_run_goes_on_over_other_devices(shape, parted, console, tmp_path, monkeypatch):
    check(shape, parted, console, tmp_path, monkeypatch)


def test_stage_goes_on_over_two_devices(parted, console, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxeap.pipeline.runner.STAGES", STAGES[:4])
    check((2, 1), parted, console, tmp_path, monkeypatch)


def check(shape, config, console, tmp_path, monkeypatch) -> None:
    assert jax.device_count() == 8
    run_pipeline(config, tmp_path / "one", console)
    with monkeypatch.context() as patched:
        interrupt_at(patched, "jaxeap.pipeline.scoring.score.attribute", 6)
        with pytest.raises(Interrupted):
            run_pipeline(config, tmp_path / "many", console)
    folder = tmp_path / "many" / "attribute"
    made_on_one = {path: path.read_bytes() for path in folder.rglob("*.safetensors")}
    assert len(made_on_one) >= 4, "the last before may not be written yet"

    config.mesh.fsdp, config.mesh.tensor = shape
    outcomes = {outcome.stage: outcome.status for outcome in run_pipeline(config, tmp_path / "many", console)}
    assert outcomes["respond"] == outcomes["select"] == "reused"
    assert outcomes["attribute"] == "continued"
    assert not (tmp_path / "many" / "superseded").exists()
    assert {path: path.read_bytes() for path in made_on_one} == made_on_one
    differing = 0
    for cell in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        one, many = (list(iterate_scores(tmp_path / name / "attribute" / cell)) for name in ("one", "many"))
        for expected, found in zip(one, many, strict=True):
            assert found.question_ids == expected.question_ids
            largest = np.abs(expected.scores).max()
            np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=3e-6 * largest)
            np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-6)
            np.testing.assert_allclose(found.gradient_norm, expected.gradient_norm, rtol=1e-5)
            differing += not np.array_equal(found.scores, expected.scores)
    assert differing, "the rest was computed over several devices, in other sums"
    one, many = (read_manifest(tmp_path / name / "attribute").fingerprint for name in ("one", "many"))
    assert one == many
