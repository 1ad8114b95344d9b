"""A run whose weights are cut over devices, against the same run on one."""

import jax
import numpy as np
import pytest

import jaxeap
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.inputs.pair import load_next, mesh_of, sources_of
from jaxeap.pipeline.stages.attribute import OWN_TEXT, scores_of
from jaxeap.pipeline.stages.respond import responses_of
from jaxeap.pipeline.stages.select import selection_of


def test_one_device_is_no_mesh_and_too_many_are_refused_at_once(config, tmp_path, console):
    assert mesh_of(config) is None
    config.mesh.fsdp, config.mesh.tensor = 2, 4
    assert dict(mesh_of(config).shape) == {"data": 1, "fsdp": 2, "tensor": 4}
    config.mesh.tensor = 8
    with pytest.raises(ValueError, match=r"a mesh of 1 x 2 x 8 needs 16 devices, there are 8 \(cpu\); lower config"):
        mesh_of(config)
    with pytest.raises(ValueError, match="needs 16 devices"):
        run_pipeline(config, tmp_path / "w", console)
    assert not (tmp_path / "w").exists(), "nothing was begun"


def test_weights_are_cut_over_the_mesh(config):
    config.mesh.fsdp = config.mesh.tensor = 2
    gate = load_next(sources_of(config)["base"], "float32", mesh_of(config)).weights["layers"]["gate"]
    assert {shard.data.shape for shard in gate.addressable_shards} == {(2, 8, 12)}
    assert len(gate.sharding.device_set) == 4


@pytest.mark.slow
def test_scores_over_four_devices_are_those_of_one(config):
    config.mesh.fsdp = config.mesh.tensor = 2
    source = sources_of(config)["base"]
    cut, whole = load_next(source, "float32", mesh_of(config)), load_next(source, "float32")
    batch = jaxeap.Batch.from_sequences([[3, 4, 5, 6, 7, 8], [5, 6, 7, 8]], [(3, 6), (1, 4)])
    one, other = (jaxeap.attribute(model, batch) for model in (whole, cut))
    largest = np.abs(np.asarray(one.scores)).max()
    np.testing.assert_allclose(np.asarray(other.scores), np.asarray(one.scores), rtol=0, atol=3e-6 * largest)
    np.testing.assert_allclose(np.asarray(other.loss), np.asarray(one.loss), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 2, 2), (8, 1, 1), (1, 4, 2)])
def test_a_whole_run_over_devices_is_that_of_one(shape, config, console, tmp_path, no_figures):
    run_pipeline(config, tmp_path / "one", console)
    config.mesh.data, config.mesh.fsdp, config.mesh.tensor = shape
    run_pipeline(config, tmp_path / "many", console)
    for role in ("base", "tuned"):
        one, other = (responses_of(tmp_path / name / "respond", role) for name in ("one", "many"))
        assert one == other
    ids = selection_of(tmp_path / "one" / "select").question_ids
    for cell in OWN_TEXT:
        one, other = (scores_of(tmp_path / name / "attribute", cell, ids) for name in ("one", "many"))
        np.testing.assert_allclose(other.scores, one.scores, rtol=0, atol=3e-6 * np.abs(one.scores).max())
        np.testing.assert_allclose(other.loss, one.loss, rtol=1e-6)


def test_a_finished_run_stays_finished_on_other_devices(config):
    """The mesh changes no result beyond rounding, so it is no reason to compute anything again."""
    from jaxeap.pipeline.settings import within
    from jaxeap.pipeline.stages import STAGES

    for stage in STAGES:
        assert not within("mesh.tensor", stage.reads)
    assert jax.device_count() == 8
