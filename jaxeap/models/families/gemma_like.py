"""What Gemma 2 and 3 share: norms before and after each part, windows on most layers, a scaled embedding."""

from __future__ import annotations

import functools
from typing import Any

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader
from jaxeap.models.families.layer_types import read_slides
from jaxeap.models.families.llama_like import read_shape, tensor_rules
from jaxeap.models.rope import RopeConfig


def read_gemma(
    reader: ConfigReader, slides: list[bool], rope: RopeConfig, softcaps: tuple[float | None, float | None], **more: Any
) -> ModelConfig:
    """The attributes that both spell alike.

    Args:
      reader: of the config.json.
      slides: which layers slide where the file does not list `layer_types`.
      rope: rotary embedding.
      softcaps: of attention and logits where the file does not mention them.
      **more: what else the family's `ModelConfig` has.
    """
    reader.expect("attention_bias", False)
    reader.expect("use_bidirectional_attention", False)
    for name in ("hidden_activation", "hidden_act"):
        reader.expect(name, "gelu_pytorch_tanh")
    window = reader.get("sliding_window") if reader.mentions("sliding_window") else 4096  # as in transformers
    slides = read_slides(reader, slides)
    if any(slides) and window is None:
        raise reader.unsupported("sliding_window", None, "layers slide, so it must be a number")
    attention_cap, logit_cap = (
        reader.get(name) if reader.mentions(name) else default
        for name, default in zip(("attn_logit_softcapping", "final_logit_softcapping"), softcaps, strict=True)
    )
    return read_shape(
        reader,
        head_dim=256,
        activation="gelu_tanh",
        rope=rope,
        tied_embeddings=True,
        windows=tuple(window if slide else None for slide in slides),
        qkv_bias=False,
        norm="rms_one_plus",
        post_norms=True,
        attention_scale=reader.get("query_pre_attn_scalar", 256) ** -0.5,
        attention_softcap=attention_cap,
        logit_softcap=logit_cap,
        embedding_scale=reader.require("hidden_size") ** 0.5,
        **more,
    )


NORMS = {
    "attention_norm": "input_layernorm",
    "attention_post_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "mlp_post_norm": "post_feedforward_layernorm",
}

gemma_tensor_rules = functools.partial(tensor_rules, norms=NORMS)
