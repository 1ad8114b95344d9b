"""Which tokens end an answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jaxeap.pipeline.storage.artifacts import read_json

if TYPE_CHECKING:
    import transformers


def stop_tokens(folder: str | Path, tokenizer: transformers.PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The model's end-of-text tokens: of generation_config.json, else of config.json, else the tokenizer's.

    Chat models often have several, and the tokenizer knows but one of them.

    Raises:
      ValueError: none of the three names one.
    """
    for name in ("generation_config.json", "config.json"):
        path = Path(folder) / name
        tokens = read_json(path).get("eos_token_id") if path.is_file() else None
        if tokens is not None:
            return tuple(tokens) if isinstance(tokens, list) else (tokens,)
    if tokenizer.eos_token_id is None:
        raise ValueError(
            f"{folder}: neither generation_config.json nor config.json has an eos_token_id, and the tokenizer has no "
            "end-of-text token, so no answer would end; add eos_token_id to generation_config.json"
        )
    return (tokenizer.eos_token_id,)
