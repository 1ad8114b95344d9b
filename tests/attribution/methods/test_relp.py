"""Relevance propagation: each rule against what it says, in NumPy and through decoders where it changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.models.mlp import gated_neurons
from jaxeap.models.norm import rms_norm
from jaxeap.models.propagation import GRADIENT, Propagation
from tests.attribution.closeness import assert_scores_close
from tests.attribution.tiny import TinyModel

RULES = ("constant_norm", "linear_activation", "halved_products", "constant_attention")


def test_without_rules_it_is_eap(tiny: TinyModel, batch: Batch):
    plain = jaxeap.attribute(tiny.model, batch, level="head")
    relp = jaxeap.attribute(tiny.model, batch, method="relp", level="head", **dict.fromkeys(RULES, False))
    np.testing.assert_array_equal(plain.scores, relp.scores)


def test_the_forward_pass_is_the_same_and_every_rule_changes_the_scores(tiny: TinyModel, batch: Batch):
    plain = jaxeap.attribute(tiny.model, batch)
    for rule in RULES:
        relp = jaxeap.attribute(tiny.model, batch, method="relp", **{name: name == rule for name in RULES})
        np.testing.assert_allclose(relp.loss, plain.loss, rtol=1e-6)
        assert np.abs(np.asarray(relp.scores - plain.scores)).max() > 1e-3 * np.abs(np.asarray(plain.scores)).max()


def test_constant_attention_sends_nothing_to_queries_and_keys(tiny: TinyModel, batch: Batch):
    result = jaxeap.attribute(tiny.model, batch, method="relp", level="head", constant_attention=True)
    kinds = np.array([node.kind for node in result.graph.destination_nodes])
    assert not np.asarray(result.scores)[:, :, np.isin(kinds, ["query", "key"])].any()
    assert np.asarray(result.scores)[:, :, kinds == "value"].any()


def test_norm_rule_divides_by_the_constant_root():
    rng = np.random.default_rng(0)
    x, scale, back = rng.normal(size=(3, 8)), rng.normal(size=8), rng.normal(size=(3, 8))
    x32, scale32, back32 = (jnp.asarray(a, jnp.float32) for a in (x, scale, back))
    _, pull = jax.vjp(lambda x: rms_norm(x, scale32, 1e-6, Propagation(constant_norm=True)), x32)
    expected = back * scale / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(pull(back32)[0], expected, rtol=1e-5)


def test_feed_forward_rules_conserve_relevance():
    # Identity and half rule together: input times what flows back equals output times what came in.
    rng = np.random.default_rng(1)
    layer = {name: jnp.asarray(rng.normal(size=(6, 5)), jnp.float32) for name in ("gate", "up")}
    x = jnp.asarray(rng.normal(size=(1, 4, 6)), jnp.float32)
    rules = Propagation(linear_activation=True, halved_products=True)
    neurons, pull = jax.vjp(lambda x: gated_neurons(x, layer, "silu", rules), x)
    np.testing.assert_array_equal(neurons, gated_neurons(x, layer, "silu", GRADIENT))
    back = jnp.asarray(rng.normal(size=neurons.shape), jnp.float32)
    np.testing.assert_allclose(
        jnp.sum(x * pull(back)[0], axis=-1), jnp.sum(neurons * back, axis=-1), rtol=2e-4, atol=1e-5
    )


def test_identity_rule_survives_a_gate_of_zero():
    layer = {"gate": jnp.zeros((3, 2)), "up": jnp.ones((3, 2))}
    x = jnp.ones((1, 1, 3))
    gradient = jax.grad(lambda x: gated_neurons(x, layer, "silu", Propagation(linear_activation=True)).sum())(x)
    np.testing.assert_array_equal(gradient, np.zeros((1, 1, 3)))


def test_rules_conserve_relevance_across_the_whole_decoder(tiny_plain: TinyModel, batch: Batch):
    # With all rules on, every path from `embed` is linear with constant slopes and the decoder has no biases: what
    # leaves the embedding by all its edges is what reaches the logits' residual, the sum of that column.
    result = jaxeap.attribute(tiny_plain.model, batch, method="relp", level="head", constant_attention=True)
    scores = np.asarray(result.scores, np.float64)
    np.testing.assert_allclose(scores[:, 0].sum(axis=1), scores[:, :, -1].sum(axis=1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rule", [RULES[0], *(pytest.param(rule, marks=pytest.mark.slow) for rule in RULES[1:])])
def test_padding_and_chunks_change_nothing(tiny: TinyModel, batch: Batch, rule: str):
    one = jaxeap.attribute(tiny.model, batch, method="relp", **{rule: True})
    other = jaxeap.attribute(tiny.model, batch, method="relp", chunk=3, **{rule: True})
    assert_scores_close(other.scores, np.asarray(one.scores), 3e-6)
