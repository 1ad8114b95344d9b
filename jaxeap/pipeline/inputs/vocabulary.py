"""Whether two models read and write the same tokens, looked at before anything is computed.

JAX clamps an index beyond an array's end, so a token that an embedding lacks would yield the last row's numbers and no
error; and a tuned model whose tokenizer numbers tokens otherwise would be compared on other text than is shown.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxeap.models.families import read_model_config
from jaxeap.pipeline.inputs.model_source import pair_sources
from jaxeap.tasks.tokenizer import load_tokenizer

if TYPE_CHECKING:
    import transformers

SHOWN = 5
"""Tokens named in a finding; the others are counted."""


@dataclasses.dataclass(frozen=True)
class VocabularyFindings:
    """What was found about two models' vocabularies.

    Attributes:
      errors: what makes results wrong or impossible.
      warnings: what makes the models read or write differently, and may be meant so.
      notes: what is worth knowing and harmless.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """A line for each finding, the worst first; empty where there is none."""
        kinds = (("error", self.errors), ("warning", self.warnings), ("note", self.notes))
        return "\n".join(f"{kind}: {finding}" for kind, findings in kinds for finding in findings)

    def require(self) -> None:
        """Raises a ValueError that names every error, where there is one."""
        if self.errors:
            raise ValueError("the vocabularies do not fit: " + "; ".join(self.errors))


def check_vocabularies(
    base: str | Path, tuned: str | Path, adapter_base: str | Path | None = None
) -> VocabularyFindings:
    """Compares the tokenizers and embeddings of two model folders, from their configurations alone.

    Args:
      base, tuned: model folders with their tokenizers; a LoRA adapter's configuration, and its tokenizer where it
        has none of its own, are those of the model that it was trained on.
      adapter_base: folder of that model; None as of `pair_sources`.

    Raises:
      FileNotFoundError, ValueError: a folder has no configuration or tokenizer, or not one that jaxeap knows.
    """
    sources = pair_sources(base, tuned, adapter_base)
    one, other = (load_tokenizer(source.tokenizer_folder) for source in sources)
    rows, other_rows = (read_model_config(source.model_folder).vocab_size for source in sources)
    return compare_vocabularies(one, other, rows, other_rows)


def compare_vocabularies(
    base: transformers.PreTrainedTokenizerBase,
    tuned: transformers.PreTrainedTokenizerBase,
    base_rows: int,
    tuned_rows: int,
) -> VocabularyFindings:
    """The comparison of `check_vocabularies`.

    Args:
      base, tuned: tokenizers.
      base_rows, tuned_rows: rows of the models' embeddings.
    """
    errors: list[str] = []
    warnings: list[str] = []
    notes: list[str] = []
    by_base, by_tuned = base.get_vocab(), tuned.get_vocab()
    for role, vocabulary, rows in (("base", by_base, base_rows), ("tuned", by_tuned, tuned_rows)):
        if beyond := {token: place for token, place in vocabulary.items() if place >= rows}:
            errors.append(
                f"the tokenizer of {role} has tokens that its embedding of {rows} rows lacks: {_listed(beyond)}; take "
                "the tokenizer that the model was trained with, or resize its embedding"
            )
        elif (unused := rows - 1 - max(vocabulary.values())) > 0:
            notes.append(f"the embedding of {role} has {unused} rows after its tokenizer's last token (padding)")
    if base_rows != tuned_rows:
        notes.append(f"embeddings have {base_rows} rows in base and {tuned_rows} in tuned")

    moved = {t: place for t, place in by_base.items() if by_tuned.get(t, place) != place}
    if moved:
        errors.append(f"tokens have other numbers in tuned than in base: {_listed(moved)}; give both one tokenizer")
    base_tokens, tuned_tokens = ({place: token for token, place in v.items()} for v in (by_base, by_tuned))
    renamed = {
        f"{token} / {tuned_tokens[place]}": place
        for place, token in base_tokens.items()
        if place in tuned_tokens and tuned_tokens[place] != token and token not in moved
    }
    if renamed:
        warnings.append(f"numbers stand for another token in base / tuned: {_listed(renamed)}")
    for role, own, others, rows in (
        ("base", by_base, by_tuned, tuned_rows),
        ("tuned", by_tuned, by_base, base_rows),
    ):
        if only := {token: place for token, place in own.items() if token not in others}:
            other = "tuned" if role == "base" else "base"
            unreadable = sum(place >= rows for place in only.values())
            cannot = f"; {unreadable} of them lie beyond the embedding of {other}, which cannot be given them"
            warnings.append(f"only the tokenizer of {role} has {_listed(only)}" + (cannot if unreadable else ""))

    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        ours, theirs = getattr(base, name, None), getattr(tuned, name, None)
        if ours != theirs:
            (notes if name == "pad_token" else warnings).append(f"{name} is {ours!r} in base and {theirs!r} in tuned")
    if different := _different_rules(base, tuned):
        warnings.append(f"the tokenizers cut text by other rules ({', '.join(different)}): one text, two token lists")
    if base.chat_template != tuned.chat_template:
        warnings.append(f"chat templates differ: {_first_difference(base.chat_template, tuned.chat_template)}")
    return VocabularyFindings(tuple(errors), tuple(warnings), tuple(notes))


def require_tokens_in_embedding(sequences: Iterable[Sequence[int]], rows: int, model: str) -> None:
    """Refuses sequences with a token that a model's embedding has no row for.

    Args:
      sequences: lists of tokens.
      rows: of the embedding.
      model: names the model in the error.

    Raises:
      ValueError: naming the first such sequences with their tokens.
    """
    wrong = {
        number: sorted({int(token) for token in sequence if not 0 <= token < rows})
        for number, sequence in enumerate(sequences)
    }
    wrong = {number: tokens for number, tokens in wrong.items() if tokens}
    if wrong:
        shown = "; ".join(f"sequence {number}: {tokens[:SHOWN]}" for number, tokens in list(wrong.items())[:SHOWN])
        raise ValueError(
            f"{len(wrong)} sequences have tokens that the embedding of {model} ({rows} rows) lacks: {shown}; they were "
            "made with another tokenizer than the model's"
        )


def _listed(tokens: Mapping[str, int]) -> str:
    ordered = sorted(tokens.items(), key=lambda item: item[1])
    shown = ", ".join(f"{token!r} ({place})" for token, place in ordered[:SHOWN])
    return shown + (f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else "")


def _different_rules(
    base: transformers.PreTrainedTokenizerBase, tuned: transformers.PreTrainedTokenizerBase
) -> list[str]:
    """Parts of two fast tokenizers, other than the list of tokens, that differ; slow ones are not looked into."""
    if not (base.is_fast and tuned.is_fast):
        return []
    one, other = (_rules(tokenizer) for tokenizer in (base, tuned))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _rules(tokenizer: transformers.PreTrainedTokenizerBase) -> dict[str, Any]:
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = content.get("model") or {}
    return {name: content.get(name) for name in ("normalizer", "pre_tokenizer")} | {
        "kind": model.get("type"),
        "merges": model.get("merges"),
    }


def _first_difference(one: object, other: object) -> str:
    if one is None or other is None:
        return f"only {'tuned' if one is None else 'base'} has one"
    lines = difflib.ndiff(str(one).splitlines(), str(other).splitlines())
    changed = [line for line in lines if line[:2] in ("- ", "+ ")]
    removed = next((line[2:].strip() for line in changed if line[0] == "-"), None)
    added = next((line[2:].strip() for line in changed if line[0] == "+"), None)
    parts = [f"base has {removed!r:.90}" if removed else "", f"tuned has {added!r:.90}" if added else ""]
    return " and ".join(part for part in parts if part) or "in blanks and line breaks alone"
