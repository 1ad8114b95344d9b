"""Routed feed-forward layers against a float64 loop over tokens and their experts, and their rules and memory."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.config import ModelConfig
from jaxeap.models.propagation import Propagation
from jaxeap.models.rope import RopeConfig
from jaxeap.models.routed_mlp import expert_shares, routed_mlp

EXPERTS, CHOSEN, WIDTH, INNER = 5, 2, 6, 7
CONFIG = ModelConfig(
    family="mixtral",
    vocab_size=11,
    embed_dim=WIDTH,
    num_layers=1,
    num_heads=1,
    num_kv_heads=1,
    head_dim=6,
    mlp_dim=INNER,
    activation="silu",
    norm_epsilon=1e-6,
    rope=RopeConfig(),
    windows=(None,),
    qkv_bias=False,
    tied_embeddings=True,
    num_experts=EXPERTS,
    experts_per_token=CHOSEN,
)


@pytest.fixture(params=[True, False], ids=["renormalised", "as they are"])
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return dataclasses.replace(CONFIG, renormalised_routing=request.param)


def drawn(seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    layer = {
        "router": rng.normal(size=(WIDTH, EXPERTS)),
        "gate": rng.normal(size=(EXPERTS, WIDTH, INNER)),
        "up": rng.normal(size=(EXPERTS, WIDTH, INNER)),
        "down": rng.normal(size=(EXPERTS, INNER, WIDTH)),
    }
    return layer, rng.normal(size=(2, 4, WIDTH))


def single(tree: Mapping[str, np.ndarray] | np.ndarray):
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), tree)


def one_token(layer: Mapping[str, np.ndarray], x: np.ndarray, renormalised: bool) -> tuple[np.ndarray, np.ndarray]:
    """(shares [E], output [D]) of one token [D]: its best experts, one by one."""
    odds = np.exp(x @ layer["router"])
    shares = np.zeros(EXPERTS)
    best = sorted(range(EXPERTS), key=lambda expert: -odds[expert])[:CHOSEN]
    shares[best] = odds[best] / (odds[best].sum() if renormalised else odds.sum())
    out = np.zeros(WIDTH)
    for expert in best:
        gate, up = x @ layer["gate"][expert], x @ layer["up"][expert]
        out += shares[expert] * ((gate / (1 + np.exp(-gate)) * up) @ layer["down"][expert])
    return shares, out


def test_every_token_is_the_weighted_sum_of_its_best_experts(config: ModelConfig):
    layer, x = drawn()
    shares, out = expert_shares(single(x), single(layer), config), routed_mlp(single(x), single(layer), config)
    for place in np.ndindex(*x.shape[:2]):
        expected_shares, expected = one_token(layer, x[place], config.renormalised_routing)
        np.testing.assert_allclose(shares[place], expected_shares, rtol=0, atol=1e-6)
        np.testing.assert_allclose(out[place], expected, rtol=0, atol=2e-5)


def test_gradient_by_central_differences(config: ModelConfig):
    layer, x = drawn(1)
    back = np.random.default_rng(2).normal(size=x.shape)
    _, pull = jax.vjp(lambda x: routed_mlp(x, single(layer), config), single(x))
    step, expected = 1e-6, np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        ends = []
        for sign in (1, -1):
            moved = x[place[:2]].copy()
            moved[place[2]] += sign * step
            ends.append(one_token(layer, moved, config.renormalised_routing)[1] @ back[place[:2]])
        expected[place] = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(pull(single(back))[0], expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_rules_conserve_relevance_where_the_shares_are_constant(config: ModelConfig):
    layer, x = map(single, drawn(3))
    back = single(np.random.default_rng(4).normal(size=x.shape))
    rules = Propagation(linear_activation=True, halved_products=True, constant_routing=True)
    out, pull = jax.vjp(lambda x: routed_mlp(x, layer, config, rules), x)
    np.testing.assert_array_equal(out, routed_mlp(x, layer, config))
    arrived, sent = (jnp.sum(a * b, axis=-1) for a, b in ((x, pull(back)[0]), (out, back)))
    np.testing.assert_allclose(arrived, sent, rtol=0, atol=2e-5 * np.abs(sent).max())
    _, pull = jax.vjp(lambda x: routed_mlp(x, layer, config, dataclasses.replace(rules, constant_routing=False)), x)
    assert np.abs(jnp.sum(x * pull(back)[0], axis=-1) - sent).max() > 1e-2 * np.abs(sent).max()


def test_nothing_flows_to_the_router_where_the_shares_are_constant():
    layer, x = map(single, drawn())

    def by_router(rules: Propagation) -> jax.Array:
        return jax.grad(lambda router: routed_mlp(x, layer | {"router": router}, CONFIG, rules).sum())(layer["router"])

    assert by_router(Propagation()).any()
    assert not by_router(Propagation(constant_routing=True)).any()


def test_the_backward_pass_keeps_no_array_of_all_experts_neurons():
    experts, width, inner, length = 32, 16, 64, 128
    config = dataclasses.replace(CONFIG, embed_dim=width, mlp_dim=inner, num_experts=experts)
    shapes = {"router": (width, experts), "gate": (experts, width, inner), "up": (experts, width, inner)}
    shapes |= {"down": (experts, inner, width)}
    layer = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
    x = jax.ShapeDtypeStruct((1, length, width), jnp.float32)
    gradient = jax.jit(jax.grad(lambda x, layer: routed_mlp(x, layer, config).sum()))
    temporary = gradient.lower(x, layer).compile().memory_analysis().temp_size_in_bytes
    one, shares = 4 * length * inner, 4 * length * experts
    assert temporary < 8 * one + 12 * shares < experts * one
