"""What a decoder is, in numbers: the shapes and switches that every family fills in."""

from __future__ import annotations

import dataclasses
from typing import Literal

from jaxeap.models.rope import RopeConfig

NormKind = Literal["rms", "rms_wide", "rms_one_plus", "layer"]
"""How a norm applies its scale: "rms" to the rounded normalised input, "rms_wide" in float32 before rounding (OLMo 2),
"rms_one_plus" likewise with 1 added to the stored scale (Gemma); "layer" is LayerNorm, which also centres its input and
adds a bias."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Shape and behaviour of one decoder, independent of how Hugging Face spells it.

    Hashable, so that it can be a static argument of a jitted function.

    Attributes:
      family: the Hugging Face `model_type` that it was read from.
      vocab_size: V, rows of the embedding.
      embed_dim: D, width of the residual stream.
      num_layers: L.
      num_heads: H, query heads.
      num_kv_heads: G, key/value heads; query head h reads key/value head h // (H / G).
      head_dim: K, width of one head (not always D / H).
      mlp_dim: width of the feed-forward layer.
      activation: name of the gate's nonlinearity.
      norm_epsilon: added to the mean square under the norms' root.
      rope: rotary position embedding, or None for none; where `layer_ropes` is given, that of no layer in particular.
      windows: for each layer, how many positions (the query's own included) a query sees, or None for all of them.
      qkv_bias: whether the query, key and value projections add a bias.
      tied_embeddings: whether the unembedding is the transposed embedding.
      norm: how norms apply their scale.
      pre_norms: whether attention and feed-forward layer read normed copies of the residual stream.
      post_norms: whether what they write is normed before it is added.
      query_key_norm: queries and keys are normed not at all, "head" by head, or over the whole "projection".
      attention_scale: multiplies the dot products of queries and keys; None for head_dim^-0.5.
      attention_softcap: c of the bound c tanh(x / c) on the scaled dot products, or None.
      logit_softcap: the same for the logits.
      embedding_scale: multiplies the rows of the embedding.
      output_bias: whether attention adds a bias to what its heads write.
      gated_mlp: whether the feed-forward layer has a gate; without one it is down(activation(up(x))).
      mlp_bias: whether the feed-forward layer's projections add biases.
      learned_positions: rows of the table of position embeddings, or 0 where there is none.
      parallel_blocks: whether the feed-forward layer reads what attention reads, and not what it wrote.
      layer_ropes: rotary embedding of each layer (None: that layer has none), or empty where all have `rope`.
      num_experts: E, feed-forward layers (of width `mlp_dim` each) among which every layer routes its tokens; 0 for one
        that all tokens take.
      experts_per_token: k, to how many of them a token goes.
      renormalised_routing: whether the shares of these k are divided by their sum.
    """

    family: str
    vocab_size: int
    embed_dim: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mlp_dim: int
    activation: str
    norm_epsilon: float
    rope: RopeConfig | None
    windows: tuple[int | None, ...]
    qkv_bias: bool
    tied_embeddings: bool
    norm: NormKind = "rms"
    pre_norms: bool = True
    post_norms: bool = False
    query_key_norm: Literal["head", "projection"] | None = None
    attention_scale: float | None = None
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    embedding_scale: float = 1.0
    output_bias: bool = False
    gated_mlp: bool = True
    mlp_bias: bool = False
    learned_positions: int = 0
    parallel_blocks: bool = False
    layer_ropes: tuple[RopeConfig | None, ...] = ()
    num_experts: int = 0
    experts_per_token: int = 0
    renormalised_routing: bool = True

    def __post_init__(self) -> None:
        for name in (
            "vocab_size",
            "embed_dim",
            "num_layers",
            "num_heads",
            "num_kv_heads",
            "head_dim",
            "mlp_dim",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"ModelConfig.{name} must be at least 1, got {getattr(self, name)}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"ModelConfig.num_heads ({self.num_heads}) must be a multiple of num_kv_heads ({self.num_kv_heads})"
            )
        if len(self.windows) != self.num_layers:
            raise ValueError(f"ModelConfig.windows names {len(self.windows)} layers, the model has {self.num_layers}")
        if self.layer_ropes and len(self.layer_ropes) != self.num_layers:
            raise ValueError(
                f"ModelConfig.layer_ropes names {len(self.layer_ropes)} layers, the model has {self.num_layers}"
            )
        if any(window is not None and window < 1 for window in self.windows):
            raise ValueError(f"ModelConfig.windows must be at least 1 (a query sees itself), got {self.windows}")
        if self.output_bias and self.post_norms:
            raise ValueError("ModelConfig.output_bias and post_norms exclude one another: a normed bias is no constant")
        if not (self.num_experts == self.experts_per_token == 0 or 1 <= self.experts_per_token <= self.num_experts):
            raise ValueError(
                f"ModelConfig.experts_per_token must lie between 1 and num_experts, or both be 0 where nothing is "
                f"routed; got {self.experts_per_token} of {self.num_experts}"
            )
        if self.num_experts and (self.mlp_bias or self.post_norms or not self.gated_mlp):
            raise ValueError("ModelConfig.num_experts goes with gated experts, without mlp_bias and without post_norms")
        if self.head_dim % 2:
            raise ValueError(f"ModelConfig.head_dim must be even for rotary embedding, got {self.head_dim}")

    @property
    def queries_per_kv_head(self) -> int:
        """H / G."""
        return self.num_heads // self.num_kv_heads

    @property
    def query_scale(self) -> float:
        """What multiplies the dot products of queries and keys."""
        return self.head_dim**-0.5 if self.attention_scale is None else self.attention_scale
