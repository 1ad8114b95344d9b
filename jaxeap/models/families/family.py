"""What a family of models is: how its configuration is read, and where each parameter lies in its checkpoints."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import einops
import numpy as np

from jaxeap.models.config import ModelConfig

INFERENCE_NEUTRAL = frozenset(
    {
        "_attn_implementation_autoset",
        "_name_or_path",
        "architectures",
        "attention_dropout",
        "bos_token_id",
        "dtype",
        "eos_token_id",
        "initializer_range",
        "max_position_embeddings",
        "model_type",
        "pad_token_id",
        "pretraining_tp",
        "torch_dtype",
        "transformers_version",
        "unsloth_version",
        "use_cache",
    }
)
"""Attributes of any Hugging Face configuration that leave the logits of a forward pass as they are."""


@dataclasses.dataclass(frozen=True)
class TensorRule:
    """Where one parameter of the decoder lies in a checkpoint.

    Attributes:
      parameter: path in `parameter_specs`, such as "layers/query".
      name: tensor name in the checkpoint; `{layer}` stands for the layer's number, and `{expert}` after
        it for the expert's.
      layout: einops pattern from the checkpoint's axes to the parameter's (without the axes of layers and experts that
        the name numbers); its letters are those of `axis_sizes`, and the same pattern read backwards writes a
        checkpoint.
      part: (start, stop, of) where several parameters lie fused in one tensor: the layout's axis p has `of` entries,
        and this parameter takes those from start to stop. On the right, p stands in a group: "d (p h k) -> d (p h) k".
    """

    parameter: str
    name: str
    layout: str
    part: tuple[int, int, int] | None = None

    def tensor_names(self, config: ModelConfig) -> list[str]:
        """The checkpoint's names: one, or one for each layer, or for each expert of each layer."""
        counts = (config.num_layers, config.num_experts)[: self.stacked_axes]
        return [
            self.name.format(**dict(zip(("layer", "expert"), place, strict=False))) for place in np.ndindex(*counts)
        ]

    @property
    def stacked_axes(self) -> int:
        """How many axes of the parameter number its tensors: layers, or layers and experts; 0 where it has one."""
        return ("{layer}" in self.name) + ("{expert}" in self.name)

    def tensor_shape(self, config: ModelConfig) -> tuple[int, ...]:
        """Shape of each of its tensors in the checkpoint."""
        sizes = self._sizes(config)
        groups = re.findall(r"\(([^)]*)\)|(\w+)", self.layout.split("->")[0])
        return tuple(math.prod(sizes[axis] for axis in (inside or single).split()) for inside, single in groups)

    def to_parameter(self, tensor: np.ndarray, config: ModelConfig) -> np.ndarray:
        """A checkpoint tensor in the parameter's layout (a view where numpy can)."""
        sizes = self._sizes(config)
        if self.part is None:
            return einops.rearrange(tensor, self.layout, **sizes)
        start, stop, _ = self.part
        stored, _, held = self.layout.partition(" -> ")
        letters = re.findall(r"\w+", stored)
        unfused = einops.rearrange(tensor, f"{stored} -> {' '.join(letters)}", **sizes)
        own = unfused[tuple(slice(start, stop) if letter == "p" else slice(None) for letter in letters)]
        return einops.rearrange(own, f"{' '.join(letters)} -> {held}")

    def _sizes(self, config: ModelConfig) -> dict[str, int]:
        """Sizes of the layout's letters in the whole tensor."""
        sizes = axis_sizes(config) | ({} if self.part is None else {"p": self.part[2]})
        return {axis: size for axis, size in sizes.items() if axis in re.findall(r"\w+", self.layout)}

    def to_tensor(self, parameter: np.ndarray, config: ModelConfig) -> np.ndarray:
        """A parameter (of one layer or expert, if numbered) in the checkpoint's layout; undoes `to_parameter`."""
        if self.part is not None:
            raise ValueError(f"{self.name} holds several parameters; {self.parameter} alone does not make it")
        stored, _, held = self.layout.partition(" -> ")
        sizes = {axis: size for axis, size in axis_sizes(config).items() if axis in held.split()}
        return einops.rearrange(parameter, f"{held} -> {stored}", **sizes)


def axis_sizes(config: ModelConfig) -> dict[str, int]:
    """What the letters of a layout stand for: vocabulary, D, F, H, G, K, learned positions and experts."""
    return {
        "v": config.vocab_size,
        "d": config.embed_dim,
        "f": config.mlp_dim,
        "h": config.num_heads,
        "g": config.num_kv_heads,
        "k": config.head_dim,
        "s": config.learned_positions,
        "e": config.num_experts,
    }


@dataclasses.dataclass(frozen=True)
class Family:
    """One family of models as facts.

    Attributes:
      model_type: as in config.json.
      read_config: from the reader of a config.json to the decoder's shape; it takes every attribute that it handles.
      tensors: the rules for every parameter that a configuration calls for.
      ignored: attributes that this family may carry and that do not change the forward pass.
      ignored_tensors: names (with `{layer}`) of tensors that a checkpoint may carry and that are not parameters.
      bare_prefix: what names begin with, and lack in files of the model without its unembedding; "" where no such files
        are about.
    """

    model_type: str
    read_config: Callable[[ConfigReader], ModelConfig]
    tensors: Callable[[ModelConfig], Iterable[TensorRule]]
    ignored: frozenset[str] = frozenset()
    ignored_tensors: frozenset[str] = frozenset()
    bare_prefix: str = ""


class ConfigReader:
    """Hands out a config.json attribute by attribute, and knows in the end which ones nobody asked for."""

    def __init__(self, attributes: Mapping[str, Any], origin: str):
        """Wraps the parsed file `attributes`; `origin` names it in errors."""
        self._attributes = dict(attributes)
        self._origin = origin
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return self._attributes.get(name) is not None

    def require(self, name: str) -> Any:
        """The attribute; ValueError where it is missing or null."""
        if name not in self:
            raise ValueError(f"{self._origin}: attribute {name!r} is missing, and the model cannot be built without it")
        return self.get(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute, or `default` where it is missing or null."""
        self._taken.add(name)
        value = self._attributes.get(name)
        return default if value is None else value

    def mentions(self, name: str) -> bool:
        """Whether the file has the attribute at all, be it null."""
        return name in self._attributes

    def expect(self, name: str, *allowed: Any) -> Any:
        """The attribute, which must be one of `allowed`; the first of them where it is missing."""
        value = self.get(name, allowed[0])
        if value not in allowed:
            raise self.unsupported(name, value, f"supported: {', '.join(map(repr, allowed))}")
        return value

    def unsupported(self, name: str, value: Any, remedy: str) -> ValueError:
        """An error that names this file, the attribute and its value."""
        return ValueError(f"{self._origin}: {name}={value!r} is not supported ({remedy})")

    def finish(self, ignored: frozenset[str]) -> None:
        """Refuses attributes that were neither read nor are known to be harmless: ignoring one gives wrong numbers."""
        unknown = sorted(set(self._attributes) - self._taken - ignored - INFERENCE_NEUTRAL)
        if unknown:
            listed = ", ".join(f"{name}={self._attributes[name]!r}" for name in unknown)
            raise ValueError(
                f"{self._origin}: unknown attributes {listed}. jaxeap refuses what it does not know, since it may "
                "change the model's output; remove an attribute only if you know that it does not."
            )
