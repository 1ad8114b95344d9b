"""What a model is scored on: tokens, which of them count, and what stands in for them under resampling."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.sampling.batching import padded_length
from jaxeap.tasks.selection import Role, Selection

SMALLER_TEXTS = (
    "cut the weights over more devices (--config.mesh.fsdp, --config.mesh.tensor), or lower --config.selection.alpha"
)
"""What helps where not even a single text fits."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """What a model is scored on.

    Attributes:
      ids: of the questions.
      sequences: tokens of each, prompt and answer.
      counted: (start, stop) of each, the tokens that the loss counts.
      corrupted: for ablation "resample", what stands in for each, stop - 1 tokens; None for any other.
    """

    ids: tuple[str, ...]
    sequences: tuple[tuple[int, ...], ...]
    counted: tuple[tuple[int, int], ...]
    corrupted: tuple[tuple[int, ...], ...] | None = None

    @classmethod
    def of(cls, selection: Selection, role: Role, settings: Mapping[str, Any]) -> Texts:
        """The selected answers of one model, under the settings of attribution.

        Raises:
          ValueError: a single question is to be resampled.
        """
        texts = cls(
            tuple(selection.question_ids),
            tuple(tuple(sequence) for sequence in selection.sequences(role)),
            tuple(selection.counted(role)),
        )
        if settings["ablation"] != "resample":
            return texts
        return dataclasses.replace(texts, corrupted=resampled(texts, settings["seed"]))

    def batch(self, places: Sequence[int]) -> Batch:
        """Some of the texts as a batch, whose padded sizes are among few, so that few programs are compiled."""
        counted = [self.counted[place] for place in places]
        return Batch.from_sequences(
            [self.sequences[place] for place in places],
            counted,
            corrupted=None if self.corrupted is None else [self.corrupted[place] for place in places],
            length=padded_length(max(stop - 1 for _, stop in counted)),
            width=padded_length(max(stop - start for start, stop in counted)),
        )

    def some(self, places: Sequence[int]) -> Texts:
        """Some of the texts; what is resampled stays as it was drawn."""

        def those(column: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(column[place] for place in places)

        corrupted = None if self.corrupted is None else those(self.corrupted)
        return Texts(those(self.ids), those(self.sequences), those(self.counted), corrupted)

    def scored_part(self, place: int) -> tuple[Any, ...]:
        """All on which a text's scores depend, a mean apart."""
        start, stop = self.counted[place]
        return self.sequences[place][:stop], start, None if self.corrupted is None else self.corrupted[place]


@dataclasses.dataclass(frozen=True)
class Target:
    """Texts that a model is to be scored on, the folder for the scores, and the texts in words for messages."""

    folder: Path
    texts: Texts
    what: str


def resampled(texts: Texts, seed: int) -> tuple[tuple[int, ...], ...]:
    """Another question's text for each, each standing in for exactly one other: a random cyclic order.

    Position by position, as long as what it stands in for; where it is shorter its last token is repeated.
    """
    if len(texts.ids) < 2:
        raise ValueError("ablation 'resample' takes another selected question, and there is only one")
    order = np.random.default_rng(seed).permutation(len(texts.ids))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    stand_ins = []
    for (_, stop), place in zip(texts.counted, other, strict=True):
        given = texts.sequences[place][: texts.counted[place][1] - 1]
        stand_ins.append((*given, *given[-1:] * (stop - 1 - len(given)))[: stop - 1])
    return tuple(stand_ins)
