"""The table of parameters and its trees."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.parameters import ParameterSpec, abstract_weights, nest, parameter_dtype, parameter_specs
from tests.models.conftest import TinyModel


def test_specs_are_what_the_checkpoint_holds(tiny: TinyModel):
    """Counted independently of the table: every number of the checkpoint, and no other, is a parameter."""
    held = sum(tensor.size for tensor in tiny.tensors.values())
    assert sum(np.prod(spec.shape) for spec in parameter_specs(tiny.model.config).values()) == held


def test_layers_come_first_and_are_named(tiny_qwen2: TinyModel):
    for name, spec in parameter_specs(tiny_qwen2.model.config).items():
        assert (spec.axes[0] == "layers") == name.startswith("layers/")
        assert len(spec.axes) == len(set(spec.axes))


def test_seven_billion_parameters_need_no_memory(tiny_qwen2: TinyModel):
    """Qwen2.5-7B has 7,615,616,512 parameters, by its model card's safetensors."""
    config = dataclasses.replace(
        tiny_qwen2.model.config,
        vocab_size=152_064,
        embed_dim=3584,
        num_layers=28,
        num_heads=28,
        num_kv_heads=4,
        head_dim=128,
        mlp_dim=18_944,
        windows=(None,) * 28,
        tied_embeddings=False,
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(abstract_weights(config))) == 7_615_616_512


def test_nest():
    assert nest({"a": 1, "b/c": 2, "b/d": 3}) == {"a": 1, "b": {"c": 2, "d": 3}}


def test_every_axis_has_a_name():
    with pytest.raises(ValueError, match="differ in length"):
        ParameterSpec((2, 3), ("embed",))


@pytest.mark.parametrize("dtype", ["bfloat16", jnp.bfloat16, jnp.dtype("bfloat16")])
def test_dtypes_may_be_given_as_jax_takes_them(dtype: object):
    assert parameter_dtype(dtype) == jnp.bfloat16
