"""A batch of token sequences, and which of their tokens the loss counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from jaxeap.models.config import ModelConfig
from jaxeap.parallel.sharding import put


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
    """Right-padded sequences; masks are explicit, since a padding id may also be a real token.

    Attributes:
      tokens: [B, T] int32, what the model is run on.
      mask: [B, T] bool, True for real tokens.
      targets: [B, W] int32, the counted tokens of each example.
      target_mask: [B, W] bool, True where `targets` holds one.
      first: [B] int32, position of the first counted token; target w is predicted at position first - 1 + w.
      corrupted: [B, T] int32, a second input of the same length for each example, or None.
    """

    tokens: np.ndarray
    mask: np.ndarray
    targets: np.ndarray
    target_mask: np.ndarray
    first: np.ndarray
    corrupted: np.ndarray | None = None

    @property
    def size(self) -> int:
        """B."""
        return self.tokens.shape[0]

    @classmethod
    def from_sequences(
        cls,
        sequences: Sequence[Sequence[int]],
        counted: Sequence[tuple[int, int]],
        corrupted: Sequence[Sequence[int]] | None = None,
        length: int | None = None,
        width: int | None = None,
    ) -> Batch:
        """Builds a batch.

        Args:
          sequences: token ids of each example.
          counted: (start, stop) for each: tokens[start:stop] are predicted and counted, start >= 1. What stands at
            stop - 1 and after is not fed to the model, for nothing that is counted depends on it.
          corrupted: for ablation "corrupted", an alternative input for each example, as long as its sequence or at
            least stop - 1 tokens.
          length: T; None takes the longest input. A common value for many batches saves compilations.
          width: W; None takes the most counted tokens.

        Raises:
          ValueError: an empty batch, an empty or impossible range, a corrupted input that is too short, or a length or
            width that is too small.
        """
        if not len(sequences):
            raise ValueError("a batch needs at least one sequence")
        if len(counted) != len(sequences) or (corrupted is not None and len(corrupted) != len(sequences)):
            raise ValueError("sequences, counted and corrupted must be given for the same examples")
        for index, (sequence, (start, stop)) in enumerate(zip(sequences, counted, strict=True)):
            if not 1 <= start < stop <= len(sequence):
                raise ValueError(
                    f"example {index}: counted range ({start}, {stop}) must satisfy 1 <= start < stop <= "
                    f"{len(sequence)}, the sequence's length (the first token has no prefix to be predicted from)"
                )
            if corrupted is not None and len(corrupted[index]) < stop - 1:
                raise ValueError(
                    f"example {index}: the corrupted input has {len(corrupted[index])} tokens, needs {stop - 1}: "
                    "corruption works position by position"
                )
        longest = max(stop - 1 for _, stop in counted)
        widest = max(stop - start for start, stop in counted)
        length, width = length or longest, width or widest
        if length < longest or width < widest:
            raise ValueError(f"length {length} and width {width} must be at least {longest} and {widest}")

        def right_padded(rows: Sequence[Sequence[int]], columns: int) -> np.ndarray:
            padded = np.zeros((len(rows), columns), np.int32)
            for row, values in zip(padded, rows, strict=True):
                row[: len(values)] = values
            return padded

        starts, stops = (np.array(ends, np.int32) for ends in zip(*counted, strict=True))
        return cls(
            tokens=right_padded([s[: stop - 1] for s, stop in zip(sequences, stops, strict=True)], length),
            mask=np.arange(length) < (stops - 1)[:, None],
            targets=right_padded([s[a:b] for s, (a, b) in zip(sequences, counted, strict=True)], width),
            target_mask=np.arange(width) < (stops - starts)[:, None],
            first=starts,
            corrupted=None
            if corrupted is None
            else right_padded([s[: stop - 1] for s, stop in zip(corrupted, stops, strict=True)], length),
        )

    def filled(self, multiple: int) -> Batch:
        """The batch, the last example repeated until a multiple of so many are there; what it gives is to be dropped.

        Groups of devices share out the examples evenly.
        """
        missing = -self.size % multiple
        if not missing:
            return self
        return jax.tree.map(lambda a: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]), self)

    def on(self, mesh: Mesh | None) -> Batch:
        """The batch on the devices of a mesh, each of which has its group's examples; itself where there is no mesh."""
        return jax.tree.map(lambda a: put(a, "tokens" if a.ndim == 2 else "loss", mesh), self)

    def check_vocabulary(self, config: ModelConfig) -> None:
        """Raises ValueError where a token has no row in the embedding (indexing would silently take another's)."""
        for name in ("tokens", "targets", "corrupted"):
            ids = getattr(self, name)
            if ids is not None and (ids.min() < 0 or ids.max() >= config.vocab_size):
                row, column = np.argwhere((ids < 0) | (ids >= config.vocab_size))[0]
                raise ValueError(
                    f"example {row}: {name} holds token {ids[row, column]} (column {column}), the model's vocabulary "
                    f"has {config.vocab_size}; was it made with another model's tokenizer?"
                )
