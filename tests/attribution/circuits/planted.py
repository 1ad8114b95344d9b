"""A model whose one circuit is known, since its weights are set by hand: predict the token seen most often so far.

embed -> a0.kv0<v>: the values of key/value head 0 copy which token stands where.
a0.h1 -> m1:        head 1 looks everywhere alike and writes how often each token was seen.
m1 -> logits:       the second feed-forward layer squares that and writes it where the unembedding reads.

All else is noise, but for a decoy: head 2 writes as much as head 1, where nothing reads.
"""

from __future__ import annotations

import jax
import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import Level
from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import abstract_weights
from jaxeap.models.rope import RopeConfig

TOKENS = 8
TOKEN, SEEN, PREDICTED, UNREAD = (slice(i * TOKENS, (i + 1) * TOKENS) for i in range(4))
"""Channels of the residual stream by what stands there."""

NOISE = 1e-3
SCALE = 100.0
"""Of the norms, whose epsilon is its square: far more than any residual's mean square, so that norms change nothing and
no edge has an effect through another's denominator."""

EDGES: dict[Level, set[str]] = {
    "head": {"embed->a0.kv0<v>", "a0.h1->m1", "m1->logits"},
    "block": {"embed->a0<v>", "a0->m1", "m1->logits"},
}

CONFIG = ModelConfig(
    family="llama",
    vocab_size=TOKENS,
    embed_dim=4 * TOKENS,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=TOKENS,
    mlp_dim=TOKENS,
    activation="silu",
    norm_epsilon=SCALE**2,
    rope=RopeConfig(theta=10000.0),
    windows=(None, None),
    qkv_bias=False,
    tied_embeddings=False,
)


def planted_model() -> Decoder:
    rng = np.random.default_rng(0)
    weights = jax.tree.map(
        lambda like: NOISE * rng.standard_normal(like.shape).astype(np.float32), abstract_weights(CONFIG)
    )
    for norms in (weights["layers"]["attention_norm"], weights["layers"]["mlp_norm"], weights["final_norm"]):
        norms[...] = SCALE
    one_to_one = np.eye(TOKENS, dtype=np.float32)
    layers = weights["layers"]
    weights["embedding"][:, TOKEN] += one_to_one
    layers["value"][0, TOKEN, 0] += one_to_one
    layers["output"][0, 1, :, SEEN] += one_to_one
    layers["output"][0, 2, :, UNREAD] += one_to_one
    layers["gate"][1, SEEN] += 2 * one_to_one
    layers["up"][1, SEEN] += 2 * one_to_one
    layers["down"][1, :, PREDICTED] += one_to_one
    weights["unembedding"][PREDICTED] += one_to_one
    return Decoder(CONFIG, jax.tree.map(jax.numpy.asarray, weights))


def planted_batch() -> Batch:
    """Sequences in which one token is frequent, and others in which another one is; ragged."""
    rng = np.random.default_rng(1)

    def sequence(frequent: int, length: int) -> list[int]:
        return np.where(rng.random(length) < 0.8, frequent, rng.integers(0, TOKENS, length)).tolist()

    lengths = (9, 12, 7)
    sequences = [
        [*sequence(frequent, length), frequent, frequent] for frequent, length in zip((3, 5, 0), lengths, strict=True)
    ]
    corrupted = [sequence(frequent, length + 1) for frequent, length in zip((6, 1, 2), lengths, strict=True)]
    counted = [(length, length + 2) for length in lengths]
    return Batch.from_sequences(sequences, counted, corrupted=corrupted)
