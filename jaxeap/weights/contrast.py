"""`contrast_weights`: how many entries fine-tuning moved, how far, and along how many directions.

RL fine-tuning is claimed to move few entries, in updates of nearly full rank (arXiv 2505.11711). What "moved" means
decides the answer, so three readings stand side by side: another number in the stored dtype; more than k rounding
steps away, since a step of a small weight is small; more than 1e-5 away, which is that paper's.
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from jaxeap.models.checkpoint import open_checkpoint
from jaxeap.models.lora import is_adapter
from jaxeap.models.manifest import MANIFEST
from jaxeap.models.parameters import parameter_dtype
from jaxeap.models.safetensors_folder import NUMPY_DTYPES, StoredTensor, list_tensors, read_slices
from jaxeap.weights.rounding import common_dtype, rounding_steps
from jaxeap.weights.spectrum import Spectrum, spectrum

STEPS = (1, 4, 16)
TOLERANCE = 1e-5
BLOCK_ENTRIES = 2**21


@dataclasses.dataclass(frozen=True)
class TensorContrast:
    """What changed in one tensor, or in several taken together.

    Attributes:
      name: of the tensor; of a group, what its tensors share.
      layer: number of the layer; None outside the layers and for groups across them.
      entries: how many were compared.
      changed: how many are another number in the dtype of the comparison.
      beyond: for each number of rounding steps, how many entries moved by more.
      beyond_tolerance: how many moved by more than the absolute tolerance.
      squared_norms: sums of squares of base, tuned and their difference.
      dtype: of the comparison.
      spectrum: of the difference, for matrices.
    """

    name: str
    layer: int | None
    entries: int
    changed: int
    beyond: tuple[int, ...]
    beyond_tolerance: int
    squared_norms: tuple[float, float, float]
    dtype: str
    spectrum: Spectrum | None = None

    @property
    def changed_share(self) -> float:
        """Share of entries that changed."""
        return self.changed / self.entries

    @property
    def beyond_shares(self) -> tuple[float, ...]:
        """Share of entries that moved by more than each number of rounding steps."""
        return tuple(count / self.entries for count in self.beyond)

    @property
    def tolerance_share(self) -> float:
        """Share of entries that moved by more than the tolerance."""
        return self.beyond_tolerance / self.entries

    @property
    def difference_norm(self) -> float:
        """Frobenius norm of the difference."""
        return math.sqrt(self.squared_norms[2])

    @property
    def relative_norm(self) -> float | None:
        """Norm of the difference over the norm of base; None where base is zero."""
        base, _, difference = self.squared_norms
        return math.sqrt(difference / base) if base > 0 else None


@dataclasses.dataclass(frozen=True)
class WeightContrast:
    """What changed in the weights, tensor by tensor.

    Attributes:
      tensors: in the base's order of layers.
      steps: the numbers of rounding steps that `beyond` counts.
      tolerance: the absolute distance that `beyond_tolerance` counts.
      notes: what was not compared, and why.
    """

    tensors: tuple[TensorContrast, ...]
    steps: tuple[int, ...]
    tolerance: float
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> TensorContrast:
        """All tensors together."""
        return _together("all parameters", None, self.tensors)

    def by_layer(self) -> tuple[TensorContrast, ...]:
        """All tensors of each layer together, in order."""
        layers = sorted({tensor.layer for tensor in self.tensors if tensor.layer is not None})
        return tuple(
            _together(f"layer {layer}", layer, [tensor for tensor in self.tensors if tensor.layer == layer])
            for layer in layers
        )

    def by_kind(self) -> tuple[TensorContrast, ...]:
        """Each parameter over all layers together, `{layer}` standing for their number."""
        kinds: dict[str, list[TensorContrast]] = {}
        for tensor in self.tensors:
            kinds.setdefault(kind_of(tensor.name), []).append(tensor)
        return tuple(_together(kind, None, tensors) for kind, tensors in kinds.items())


def contrast_weights(
    base: str | Path,
    tuned: str | Path,
    dtype: str | None = None,
    steps: Sequence[int] = STEPS,
    tolerance: float = TOLERANCE,
    rank: int = 64,
    base_adapts: str | Path | None = None,
    tuned_adapts: str | Path | None = None,
) -> WeightContrast:
    """Compares two checkpoints of one model, with a few blocks of one tensor in memory at a time.

    Args:
      base, tuned: Hugging Face folders, or LoRA adapters. Any architecture will do.
      dtype: in which to count changes; None is the stored one, the coarser one where the two checkpoints differ.
        Norms and spectrum are of the difference of the numbers in this dtype.
      steps: numbers of rounding steps (units in the last place) beyond which to count entries.
      tolerance: absolute distance beyond which to count entries.
      rank: singular values of each matrix's difference; 0 leaves the spectrum out, which halves the time.
      base_adapts, tuned_adapts: folder of the model that an adapter was trained on; None for what the adapter in `base`
        names, and for `base` under the one in `tuned`.

    Raises:
      FileNotFoundError: a folder or a file of it is missing.
      ValueError: a folder is no Hugging Face checkpoint, or the two have no tensor in common.
    """
    base, tuned = Path(base), Path(tuned)
    ones, others = _tensors(base, base_adapts), _tensors(tuned, tuned_adapts or base)
    fixed = None if dtype is None else parameter_dtype(dtype)
    names, notes = _comparable(ones, others)
    if not names:
        raise ValueError(f"{base} and {tuned} have no tensor in common: are they checkpoints of one architecture?")
    console = Console(file=sys.stderr)
    tensors = tuple(
        _contrast_tensor(ones[name], others[name], fixed, tuple(steps), tolerance, rank)
        for name in track(names, "comparing weights", console=console, disable=not console.is_terminal)
    )
    return WeightContrast(tensors, tuple(steps), tolerance, tuple(notes))


def kind_of(name: str) -> str:
    """A tensor's name without the numbers of its layer and its expert."""
    return re.sub(r"\.\d+\.", ".{expert}.", re.sub(r"(?<=\.)\d+(?=\.)", "{layer}", name, count=1))


def layer_of(name: str) -> int | None:
    """The number of a tensor's layer, which is the first number in its name."""
    found = re.search(r"(?:^|\.)(\d+)\.", name)
    return int(found[1]) if found else None


def _tensors(folder: Path, adapted: str | Path | None) -> dict[str, StoredTensor]:
    if not folder.is_dir():
        raise FileNotFoundError(f"model folder {folder} does not exist")
    if (folder / MANIFEST).is_file():
        raise ValueError(
            f"{folder} is a converted checkpoint; weights are compared from Hugging Face folders, which "
            "`python -m checkpoint_convert --to-hf` writes"
        )
    if is_adapter(folder):
        return dict(open_checkpoint(folder, adapted).tensors)
    return list_tensors(folder)


def _comparable(ones: dict[str, StoredTensor], others: dict[str, StoredTensor]) -> tuple[list[str], list[str]]:
    """Names of the tensors to compare, by layer, and notes on the others."""
    notes = [f"only in base: {name}" for name in ones if name not in others]
    notes += [f"only in tuned: {name}" for name in others if name not in ones]
    names = []
    for name in sorted(ones.keys() & others.keys(), key=lambda name: (_layer_order(name), name)):
        one, other = ones[name], others[name]
        if {one.dtype, other.dtype} - set(NUMPY_DTYPES):
            notes.append(f"not compared: {name} is stored as {one.dtype} and {other.dtype}")
        elif one.shape[1:] != other.shape[1:]:
            notes.append(f"not compared: {name} has shapes {one.shape} and {other.shape}")
        else:
            if one.shape != other.shape:
                notes.append(f"compared in their common rows: {name} has shapes {one.shape} and {other.shape}")
            names.append(name)
    return names, notes


def _layer_order(name: str) -> float:
    layer = layer_of(name)
    return (-1 if "embed" in name or "wte" in name else math.inf) if layer is None else layer


def _contrast_tensor(
    one: StoredTensor,
    other: StoredTensor,
    dtype: np.dtype | None,
    steps: tuple[int, ...],
    tolerance: float,
    rank: int,
) -> TensorContrast:
    shape = (min(one.shape[0], other.shape[0]), *one.shape[1:])
    dtype = common_dtype(NUMPY_DTYPES[one.dtype], NUMPY_DTYPES[other.dtype]) if dtype is None else dtype
    changed, beyond_tolerance = 0, 0
    beyond, squares = np.zeros(len(steps), np.int64), np.zeros(3)
    for rows in _rows(shape):
        before, after = (read_slices(stored, rows).astype(dtype) for stored in (one, other))
        distance = rounding_steps(before, after)
        changed += int(np.count_nonzero(distance))
        beyond += [np.count_nonzero(distance > step) for step in steps]
        values = [before.astype(np.float64), after.astype(np.float64)]
        values.append(values[1] - values[0])
        beyond_tolerance += int(np.count_nonzero(np.abs(values[2]) > tolerance))
        squares += [np.vdot(each, each) for each in values]
    # Without a change there is nothing to decompose.
    with_spectrum = rank > 0 and len(shape) == 2 and changed > 0
    return TensorContrast(
        name=one.name,
        layer=layer_of(one.name),
        entries=math.prod(shape),
        changed=changed,
        beyond=tuple(map(int, beyond)),
        beyond_tolerance=beyond_tolerance,
        squared_norms=(float(squares[0]), float(squares[1]), float(squares[2])),
        dtype=dtype.name,
        spectrum=spectrum(_differences(one, other, shape, dtype), (shape[0], shape[1]), float(squares[2]), rank)
        if with_spectrum
        else None,
    )


def _differences(
    one: StoredTensor, other: StoredTensor, shape: tuple[int, ...], dtype: np.dtype
) -> Callable[[], Iterator[npt.NDArray[np.float32]]]:
    def blocks() -> Iterator[npt.NDArray[np.float32]]:
        for rows in _rows(shape):
            before, after = (read_slices(stored, rows).astype(dtype).astype(np.float32) for stored in (one, other))
            yield after - before

    return blocks


def _rows(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Indices of blocks of rows, each of at most `BLOCK_ENTRIES` entries or one row."""
    step = max(1, BLOCK_ENTRIES // math.prod(shape[1:]))
    for start in range(0, shape[0], step):
        yield (slice(start, min(start + step, shape[0])), *(slice(0, size) for size in shape[1:]))


def _together(name: str, layer: int | None, tensors: Iterable[TensorContrast]) -> TensorContrast:
    tensors = list(tensors)
    dtypes = sorted({tensor.dtype for tensor in tensors})
    base, tuned, difference = (math.fsum(column) for column in zip(*(t.squared_norms for t in tensors), strict=True))
    return TensorContrast(
        name=name,
        layer=layer,
        entries=sum(tensor.entries for tensor in tensors),
        changed=sum(tensor.changed for tensor in tensors),
        beyond=tuple(map(sum, zip(*(tensor.beyond for tensor in tensors), strict=True))),
        beyond_tolerance=sum(tensor.beyond_tolerance for tensor in tensors),
        squared_norms=(base, tuned, difference),
        dtype=" and ".join(dtypes),
    )
