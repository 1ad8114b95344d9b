"""The divergence from the full model's predictions against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits import metric
from jaxeap.models.decoder import unembed
from tests.attribution.tiny import TinyModel


@pytest.fixture(scope="module")
def finals(tiny: TinyModel, batch: Batch) -> tuple[jax.Array, jax.Array]:
    shape = (*batch.tokens.shape, tiny.model.config.embed_dim)
    ours, full = jax.random.normal(jax.random.key(0), (2, *shape))
    return ours, full


@pytest.mark.parametrize("block", [256, 4, 3])
def test_divergence_agrees_with_scipy(
    tiny: TinyModel, batch: Batch, finals: tuple[jax.Array, jax.Array], monkeypatch: pytest.MonkeyPatch, block: int
):
    monkeypatch.setattr(metric, "TARGET_BLOCK", block)
    found = metric.counted_divergence(tiny.model.weights, tiny.model.config, finals[0], batch, finals[1])
    for example in range(batch.size):
        first, count = batch.first[example] - 1, batch.target_mask[example].sum()
        ours, full = (
            scipy.special.softmax(
                np.asarray(unembed(tiny.model.weights, tiny.model.config, final[example]), np.float64), axis=-1
            )[first : first + count]
            for final in finals
        )
        np.testing.assert_allclose(found[example], scipy.special.rel_entr(full, ours).sum(axis=-1).mean(), rtol=1e-5)


def test_divergence_from_itself_is_zero(tiny: TinyModel, batch: Batch, finals: tuple[jax.Array, jax.Array]):
    found = metric.counted_divergence(tiny.model.weights, tiny.model.config, finals[0], batch, finals[0])
    np.testing.assert_array_equal(found, jnp.zeros(batch.size))
