"""OLMo 2: norms after attention and feed-forward layer and none before, q/k-norm over the whole projection."""

from __future__ import annotations

import functools

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, Family
from jaxeap.models.families.llama_like import ROTARY_BUFFERS, read_shape, tensor_rules

NORMS = {"attention_post_norm": "post_attention_layernorm", "mlp_post_norm": "post_feedforward_layernorm"}


def read_config(reader: ConfigReader) -> ModelConfig:
    """Reads an `Olmo2Config`."""
    reader.expect("attention_bias", False)
    return read_shape(
        reader,
        norm_epsilon=1e-5,
        windows=(None,) * reader.require("num_hidden_layers"),
        qkv_bias=False,
        norm="rms_wide",
        pre_norms=False,
        post_norms=True,
        query_key_norm="projection",
    )


OLMO2 = Family("olmo2", read_config, functools.partial(tensor_rules, norms=NORMS), ignored_tensors=ROTARY_BUFFERS)
