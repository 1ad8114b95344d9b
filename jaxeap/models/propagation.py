"""What flows back through what is not linear in a block: its gradient, or a rule of relevance propagation."""

from __future__ import annotations

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Propagation:
    """Rules of the backward pass; all False is the plain gradient. The forward pass is the same under all of them.

    Attributes:
      constant_norm: the norms' denominators are constants (LN-rule; Ali et al. 2022).
      linear_activation: activation(x) is x times a constant, activation(x) / x (identity rule; Jafari et al. 2024).
      halved_products: each factor of gate * up takes half of what flows back, so that it is not counted twice (half
        rule; Arras et al. 2019).
      constant_attention: attention probabilities are constants, so that nothing flows to queries and keys (AH-rule;
        Ali et al. 2022).
      constant_routing: the shares of a routed layer's experts are constants, as probabilities of attention are under
        the AH-rule: what flows back goes to the experts, and none of it to the router.
    """

    constant_norm: bool = False
    linear_activation: bool = False
    halved_products: bool = False
    constant_attention: bool = False
    constant_routing: bool = False


GRADIENT = Propagation()
"""The plain gradient."""


def constant_if(condition: bool, x: jax.Array) -> jax.Array:
    """x, taken as a constant by the backward pass where `condition` says so."""
    return jax.lax.stop_gradient(x) if condition else x
