"""What a decoder is, in numbers: the shapes and switches that every family fills in."""

from __future__ import annotations

import dataclasses

from jaxeap.models.rope import RopeConfig


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
      rope: rotary position embedding.
      windows: for each layer, how many positions (the query's own included) a query sees, or None for all of them.
      qkv_bias: whether the query, key and value projections add a bias.
      tied_embeddings: whether the unembedding is the transposed embedding.
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
    rope: RopeConfig
    windows: tuple[int | None, ...]
    qkv_bias: bool
    tied_embeddings: bool

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
        if any(window is not None and window < 1 for window in self.windows):
            raise ValueError(f"ModelConfig.windows must be at least 1 (a query sees itself), got {self.windows}")
        if self.head_dim % 2:
            raise ValueError(f"ModelConfig.head_dim must be even for rotary embedding, got {self.head_dim}")

    @property
    def queries_per_kv_head(self) -> int:
        """H / G."""
        return self.num_heads // self.num_kv_heads
