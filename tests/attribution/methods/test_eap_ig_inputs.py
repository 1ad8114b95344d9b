"""Integrated gradients along the embedding path: completeness, and the published code with its own rule."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.attribute import mean_sources
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.loss import counted_loss
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.model import Decoder
from tests.attribution.closeness import assert_scores_close
from tests.attribution.reference_data import REFERENCE_SAMPLE, ReferenceModel
from tests.attribution.tiny import TinyModel

PAIRS = Path(__file__).parents[3] / "pairs"


def losses_at(model: Decoder, batch: Batch, embedding: jax.Array) -> np.ndarray:
    final, _ = run_layers(model.weights, model.config, embedding, jnp.asarray(batch.mask))
    return np.asarray(counted_loss(model.weights, model.config, final, batch))


@pytest.mark.parametrize("level", ["block", "head"])
def test_edges_that_leave_the_embedding_add_up_to_the_loss_difference(tiny: TinyModel, batch: Batch, level: str):
    # Random weights this sharp bend the loss so much along the path that 64 steps do not yet resolve it.
    model = tiny.model
    clean = embed(model.weights, model.config, jnp.asarray(batch.tokens))
    reference = mean_sources(model, batch)
    ends = {
        "corrupted": (embed(model.weights, model.config, jnp.asarray(batch.corrupted)), None),
        "mean": (jnp.broadcast_to(reference.embedding, clean.shape), reference),
    }
    for ablation, (ablated, mean) in ends.items():
        result = jaxeap.attribute(
            model, batch, method="eap_ig_inputs", level=level, ablation=ablation, reference=mean, steps=256
        )
        difference = losses_at(model, batch, ablated) - losses_at(model, batch, clean)
        np.testing.assert_allclose(result.scores[:, 0].sum(axis=1), difference, rtol=2e-3)
        np.testing.assert_allclose(result.loss, losses_at(model, batch, clean), rtol=1e-6)


def test_64_steps_are_complete_within_a_percent_on_a_trained_model():
    model = jaxeap.load_model(PAIRS / "arithmetic" / "grpo")
    problems = ["12+34=", "58-19=", "77+45=", "60-25="]
    digits = {str(digit): digit + 2 for digit in range(10)} | {"+": 12, "-": 13, "=": 14}
    sequences = [[digits[character] for character in problem + "640"] for problem in problems]
    corrupted = sequences[1:] + sequences[:1]
    batch = Batch.from_sequences(sequences, [(6, 9)] * 4, corrupted=corrupted)
    result = jaxeap.attribute(model, batch, method="eap_ig_inputs", ablation="corrupted", steps=64)
    ends = (embed(model.weights, model.config, jnp.asarray(tokens)) for tokens in (batch.corrupted, batch.tokens))
    ablated, clean = (losses_at(model, batch, end) for end in ends)
    np.testing.assert_allclose(result.scores[:, 0].sum(axis=1), ablated - clean, rtol=0.01)


@pytest.mark.parametrize("reference", REFERENCE_SAMPLE, indirect=True)
def test_reference_code_with_its_rule(reference: ReferenceModel):
    result = jaxeap.attribute(
        reference.model,
        reference.batch,
        method="eap_ig_inputs",
        level="head",
        ablation="corrupted",
        steps=5,
        rule="left",
    )
    assert_scores_close(result.scores, reference.head_array("eap_ig_inputs"), 2e-5)


def test_one_step_at_the_clean_end_is_eap(tiny: TinyModel, batch: Batch):
    plain = jaxeap.attribute(tiny.model, batch, ablation="corrupted")
    path = jaxeap.attribute(tiny.model, batch, method="eap_ig_inputs", ablation="corrupted", steps=1, rule="right")
    assert_scores_close(path.scores, np.asarray(plain.scores), 2e-6)
