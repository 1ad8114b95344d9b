"""Rotary embedding as Hugging Face configurations spell it, before and after transformers 5."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jaxeap.models.families.family import ConfigReader
from jaxeap.models.rope import RopeConfig
from jaxeap.models.rope_scaling import LinearScaling, Llama3Scaling, LongRopeScaling, RopeScaling, YarnScaling

SPELLINGS: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "linear": ({"factor": "factor"}, {}),
    "llama3": (
        {
            "factor": "factor",
            "low_freq_factor": "low_frequency_factor",
            "high_freq_factor": "high_frequency_factor",
            "original_max_position_embeddings": "original_length",
        },
        {},
    ),
    "yarn": (
        {"factor": "factor", "original_max_position_embeddings": "original_length"},
        {
            "attention_factor": "attention_factor",
            "beta_fast": "beta_fast",
            "beta_slow": "beta_slow",
            "truncate": "truncate",
        },
    ),
    "longrope": (
        {
            "short_factor": "short_factors",
            "long_factor": "long_factors",
            "original_max_position_embeddings": "original_length",
        },
        {"attention_factor": "attention_factor"},
    ),
}
"""Kind of scaling -> (required, optional) attributes with our names for them."""

SCALINGS: Mapping[str, type[LinearScaling | Llama3Scaling | YarnScaling | LongRopeScaling]] = {
    "linear": LinearScaling,
    "llama3": Llama3Scaling,
    "yarn": YarnScaling,
    "longrope": LongRopeScaling,
}


def read_rope(
    reader: ConfigReader,
    default_theta: float = 10_000.0,
    theta_name: str = "rope_theta",
    fraction_name: str | None = None,
    default_fraction: float = 1.0,
    original_length: int | None = None,
) -> RopeConfig:
    """Rotary embedding from `rope_parameters` (transformers 5), or from attributes of their own and `rope_scaling`.

    Args:
      reader: of the config.json.
      default_theta: the base where the file does not say.
      theta_name: attribute of the base before transformers 5.
      fraction_name: likewise of the share of channels that rotate; None where the family rotates all.
      default_fraction: that share where the file does not say.
      original_length: of a family that says by an attribute of its own, outside these dicts, on how many positions it
        was trained before: where it does not. None for the other families.

    Raises:
      ValueError: the two contradict one another, or the kind of scaling or one of its attributes is unknown or missing.
    """
    parameters = dict(reader.get("rope_parameters", {}))
    scaling = dict(reader.get("rope_scaling", {}))

    def either(named: str, older: str, default: float) -> float:
        value, earlier = parameters.pop(named, None), reader.get(older)
        if value is not None and earlier is not None and value != earlier:
            raise reader.unsupported(older, earlier, f"rope_parameters says {value!r}")
        return float(next(number for number in (value, earlier, default) if number is not None))

    theta = either("rope_theta", theta_name, default_theta)
    if fraction_name is not None:
        fraction = either("partial_rotary_factor", fraction_name, default_fraction)
    else:
        fraction = 1.0
        if (
            parameters.get("partial_rotary_factor") == 1
        ):  # transformers 5 writes it for families that have no such thing
            del parameters["partial_rotary_factor"]
    if parameters and scaling and _named(parameters) != _named(scaling):
        raise reader.unsupported("rope_scaling", scaling, f"it contradicts rope_parameters={parameters!r}")
    described = parameters or scaling
    if original_length is not None and _named(described)["rope_type"] != "default":
        name = "original_max_position_embeddings"
        length = reader.get(name, described.get(name, original_length))
        if described.get(name, length) != length:
            raise reader.unsupported(name, length, f"rope_scaling says {described[name]!r}")
        described[name] = length
    return RopeConfig(theta, read_scaling(reader, described), fraction)


def read_scaling(reader: ConfigReader, attributes: Mapping[str, Any]) -> RopeScaling | None:
    """How `attributes`, without the base, stretch the frequencies; None where they do not."""
    described = _named(attributes)
    kind = described.pop("rope_type", "default")
    if kind == "default":
        # transformers leaves the length behind when a scaling is switched off; unscaled RoPE has no use for it.
        described.pop("original_max_position_embeddings", None)
        if described:
            raise reader.unsupported("rope_parameters", sorted(described), "unscaled RoPE has only rope_theta")
        return None
    kind = "longrope" if kind == "su" else kind  # its name in the first Phi-3 files
    if kind not in SPELLINGS:
        raise reader.unsupported("rope_type", kind, f"supported: 'default', {', '.join(map(repr, sorted(SPELLINGS)))}")
    required, optional = SPELLINGS[kind]
    if "original_max_position_embeddings" in required and "max_position_embeddings" in reader:
        described.setdefault("original_max_position_embeddings", reader.get("max_position_embeddings"))
    given = _with_attention_factor(
        kind, {name: value for name, value in described.items() if value is not None}, reader
    )
    if missing := sorted(set(required) - set(given)):
        raise reader.unsupported("rope_parameters", dict(attributes), f"rope_type {kind!r} needs {', '.join(missing)}")
    if extra := sorted(set(given) - set(required) - set(optional)):
        raise reader.unsupported("rope_parameters", extra, f"unknown to rope_type {kind!r}")
    for name, value in given.items():
        if name in ("short_factor", "long_factor"):
            given[name] = tuple(value)
        elif name != "truncate" and (isinstance(value, bool) or not math.isfinite(value) or value <= 0):
            raise reader.unsupported(f"rope_parameters[{name!r}]", value, "must be a positive number")
    spelling = {**required, **optional}
    return SCALINGS[kind](**{spelling[name]: value for name, value in given.items()})


def _with_attention_factor(kind: str, given: Mapping[str, Any], reader: ConfigReader) -> dict[str, Any]:
    """What other attributes say about the attention factor, said by itself; formulas as in transformers."""
    given = dict(given)
    if kind == "yarn":
        factor, *scales = given.get("factor"), given.pop("mscale", None), given.pop("mscale_all_dim", None)
        if all(scales) and factor is not None and "attention_factor" not in given:
            upper, lower = (1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0 for scale in scales)
            given["attention_factor"] = upper / lower
    if kind == "longrope":
        factor, original = given.pop("factor", None), given.get("original_max_position_embeddings")
        if original is not None and "attention_factor" not in given:
            factor = reader.require("max_position_embeddings") / original if factor is None else factor
            given["attention_factor"] = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    return given


def _named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes with the kind under its present name, "rope_type"."""
    described = dict(attributes)
    described.pop("rope_theta", None)
    kind = described.pop("type", None)
    described.setdefault("rope_type", kind or "default")
    return described
