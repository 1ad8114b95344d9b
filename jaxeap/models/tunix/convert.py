"""`from_tunix`: a model trained with google-tunix as a decoder, checked for equal logits. Tunix is not imported."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxeap.models.config import ModelConfig
from jaxeap.models.families.family import ConfigReader, TensorRule
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import nest, parameter_dtype, parameter_specs
from jaxeap.models.rope import RopeConfig
from jaxeap.models.tunix.agreement import TOLERANCES, relative_error
from jaxeap.models.tunix.families import IGNORED, ROTATION_BASE, TUNIX_FAMILIES, TunixFamily
from jaxeap.parallel.sharding import sharding_of


def from_tunix(
    model: Any,
    config: Any = None,
    *,
    dtype: str | None = "float32",
    mesh: jax.sharding.Mesh | None = None,
    rope_theta: float | None = None,
    check: bool = True,
) -> Decoder:
    """A decoder with the weights of a Tunix model: Qwen2/2.5, Qwen3 (dense and routed), Llama 3 or Gemma 3 (text).

    Args:
      model: the trained `nnx.Module` (in an RL cluster, `cluster.actor_trainer.model`), or its state: an `nnx.State` or
        nested mapping of arrays, as a checkpoint restores it. A `TunixDecoder` gives its own weights back.
      config: Tunix's configuration of it; None takes `model.config`.
      dtype: "float32", "bfloat16", "float16", or None for the stored one.
      mesh: devices to lay the parameters out over; None puts them on the default device.
      rope_theta: base of the rotary embedding, where it is known to differ from `config.rope_theta`. Tunix 0.1.7 turns
        Qwen3 and Llama 3 with 1,000,000 whatever the configuration says. None finds out, by running `model` and taking
        the base that gives its logits.
      check: run model and decoder on padded random tokens and compare their logits. A state cannot be run.

    Raises:
      TypeError: `config` is none of Tunix's.
      ValueError: an attribute of the configuration or a parameter is unknown, missing or of the wrong shape (all are
        named); the base of the rotary embedding cannot be known; the logits differ.
    """
    if isinstance(model, Decoder):
        raise TypeError("model is a Decoder already; what Tunix trains is a TunixDecoder of it")
    config = getattr(model, "config", None) if config is None else config
    runs = check and isinstance(model, nnx.Module)
    if isinstance(config, ModelConfig):
        if rope_theta is not None:
            raise ValueError("rope_theta was given, but a TunixDecoder rotates as its configuration says")
        ours = config
        weights = _cast(_flat_state(model, "/"), ours, dtype, mesh)
        candidates = [ours]
    else:
        family, ours = read_tunix_config(config)
        weights = _cast(_parameters(family, ours, _flat_state(model, ".")), ours, dtype, mesh)
        candidates = _candidates(family, ours, rope_theta, runs)
    decoders = [Decoder(candidate, nest(weights)) for candidate in candidates]
    if not runs:
        return decoders[0]
    if getattr(config, "use_flash_attention", False):
        raise ValueError(
            "flash attention takes no padding, so these logits cannot be compared: set "
            "model.config.use_flash_attention = False, or pass check=False (and rope_theta)"
        )
    errors = [relative_error(model, decoder) for decoder in decoders]
    error, decoder = min(zip(errors, decoders, strict=True), key=lambda pair: pair[0])
    stored = {str(array.dtype) for array in _flat_state(model, ".").values()}
    computed = {str(jnp.dtype(getattr(config, "dtype", None) or "float32")), str(decoder.dtype)}
    tolerance = max(TOLERANCES.get(name, TOLERANCES["bfloat16"]) for name in stored | computed)
    if not error <= tolerance:
        raise ValueError(
            f"the decoder's logits differ from the model's by {error:.2g} of their size, more than {tolerance}: this "
            "version of Tunix computes something that jaxeap does not know of; please report it with the version"
        )
    turned = decoder.config.rope
    if rope_theta is None and turned is not None and ours.rope is not None and turned != ours.rope:
        warnings.warn(
            f"this Tunix model rotates with base {turned.theta:g} and not with its config.rope_theta "
            f"{ours.rope.theta:g}; the decoder does as the model does",
            stacklevel=2,
        )
    return decoder


def read_tunix_config(config: Any) -> tuple[TunixFamily, ModelConfig]:
    """The family that one of Tunix's configurations belongs to, and the decoder's shape; errors as in `from_tunix`."""
    kind = type(config)
    named = re.fullmatch(r"tunix\.models\.(\w+)\.model", kind.__module__)
    if named is None or named[1] not in TUNIX_FAMILIES or not dataclasses.is_dataclass(config):
        raise TypeError(
            f"config is a {kind.__module__}.{kind.__qualname__}; needed is the ModelConfig of one of "
            f"{', '.join(f'tunix.models.{name}.model' for name in TUNIX_FAMILIES)}"
        )
    attributes = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    reader = ConfigReader(attributes, f"{kind.__module__}.{kind.__qualname__}")
    family = TUNIX_FAMILIES[named[1]]
    ours = family.read_config(reader)
    reader.finish(IGNORED)
    return family, ours


def _flat_state(model: Any, separator: str) -> dict[str, Any]:
    """Path ("layers.0.attn.q_proj.w") -> array."""
    if isinstance(model, nnx.Module):
        model = nnx.state(model, nnx.Param)
    if isinstance(model, nnx.State):
        model = nnx.to_pure_dict(model)
    if not isinstance(model, Mapping):
        raise TypeError(f"model must be an nnx.Module, its nnx.State or a mapping of arrays, and is a {type(model)}")
    leaves = jax.tree_util.tree_leaves_with_path(model)
    return {jax.tree_util.keystr(path, simple=True, separator=separator): leaf for path, leaf in leaves}


def _parameters(family: TunixFamily, config: ModelConfig, state: Mapping[str, Any]) -> dict[str, jax.Array]:
    """Path of each parameter -> its array, stacked over layers.

    Raises:
      ValueError: with every missing, unmapped and wrongly shaped array in one message.
    """
    rules = {rule.parameter: rule for rule in family.rules(config)}
    wanted = {name: rule.tensor_shape(config) for rule in rules.values() for name in rule.tensor_names(config)}
    problems = [f"missing: {name} {shape}" for name, shape in wanted.items() if name not in state]
    problems += [
        f"wrong shape: {name} is {state[name].shape}, needs {shape}"
        for name, shape in wanted.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    unmapped = sorted(set(state) - set(wanted))
    problems += [f"unmapped: {name} {state[name].shape}" for name in unmapped]
    if problems:
        remedy = ""
        if any("lora" in name.lower() for name in unmapped):
            remedy = (
                "\nthe model has LoRA parameters: merge them first with save_lora_merged_model_as_safetensors of its "
                "tunix.models.<family>.params, and open that folder with jaxeap.load_model"
            )
        listed = "\n  ".join(problems)
        raise ValueError(f"{len(problems)} arrays do not fit the Tunix configuration:\n  {listed}{remedy}")
    return {name: _stacked(rule, config, state) for name, rule in rules.items()}


def _stacked(rule: TensorRule, config: ModelConfig, state: Mapping[str, Any]) -> jax.Array:
    arrays: list[Any] = [jnp.asarray(state[name]) for name in rule.tensor_names(config)]  # einops takes JAX's as well
    ours = [rule.to_parameter(array, config) for array in arrays]
    return jnp.stack(ours) if rule.stacked_axes else jnp.asarray(ours[0])


def _cast(
    parameters: Mapping[str, Any], config: ModelConfig, dtype: str | None, mesh: jax.sharding.Mesh | None
) -> dict[str, jax.Array]:
    target = None if dtype is None else parameter_dtype(dtype)
    specs = parameter_specs(config)
    placed = {}
    for name, array in parameters.items():
        # A name that is not among them is `Decoder`'s to refuse, together with all others.
        axes = specs[name].axes if name in specs else ("",) * array.ndim
        array = jnp.asarray(array) if target is None else jnp.asarray(array).astype(target)
        # Copied even where nothing changes: a trainer that goes on gives its own buffers away (donation).
        placed[name] = jax.device_put(array, sharding_of(array.shape, axes, mesh), may_alias=False)
    return placed


def _candidates(family: TunixFamily, config: ModelConfig, theta: float | None, runs: bool) -> list[ModelConfig]:
    """The configurations between which the model's logits must decide; one, where there is nothing to decide."""

    def turned(base: float) -> ModelConfig:
        return dataclasses.replace(config, rope=RopeConfig(base))

    if theta is not None:
        if config.layer_ropes:
            raise ValueError("rope_theta was given, but this family has a base for each kind of layer")
        return [turned(theta)]
    assert config.rope is not None
    if not family.forgets_theta or config.rope.theta == ROTATION_BASE:
        return [config]
    if not runs:
        raise ValueError(
            f"config.rope_theta is {config.rope.theta:g}, and Tunix 0.1.7 rotates with {ROTATION_BASE:g} all the same. "
            "Pass the module itself, with check=True, so that its logits can tell, or rope_theta="
        )
    return [config, turned(ROTATION_BASE)]
