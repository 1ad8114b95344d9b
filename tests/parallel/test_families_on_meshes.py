"""Families whose layers differ from the plain ones on meshes: norms after the block, experts, LayerNorm, biases."""

import dataclasses

import chex
import numpy as np
import pytest

import jaxeap
from jaxeap.models.model import Decoder
from jaxeap.parallel.mesh import make_mesh
from tests.models.tiny_configs import CONFIGS
from tests.parallel.on_meshes import ragged

LAYERS = 2


@pytest.mark.slow
@pytest.mark.parametrize("level", ["block", "head"])
@pytest.mark.parametrize("family", ["gemma2", "olmo2", "mixtral", "qwen3_moe", "gpt2", "gpt_neox", "qwen3"])
def test_scores_are_those_of_one_device(family: str, level: str):
    config = CONFIGS[family]
    config = dataclasses.replace(config, num_layers=LAYERS, windows=config.windows[:LAYERS])
    batch = ragged(config=config)
    one, several = (
        jaxeap.attribute(Decoder.random(config, mesh=mesh), batch, level=level) for mesh in (None, make_mesh(2, 2, 2))
    )
    chex.assert_shape([one.scores, several.scores], (batch.size, *one.graph.mask.shape))
    largest = float(np.abs(one.scores).max())
    np.testing.assert_allclose(several.scores, one.scores, rtol=0, atol=3e-6 * largest)
    np.testing.assert_allclose(several.loss, one.loss, rtol=1e-6)
