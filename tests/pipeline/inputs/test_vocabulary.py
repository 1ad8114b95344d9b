"""Findings about two vocabularies: each by a pair that has nothing else wrong."""

import json
import shutil
from pathlib import Path

import pytest
import tokenizers
import transformers

from jaxeap.pipeline.inputs.vocabulary import (
    VocabularyFindings,
    check_vocabularies,
    compare_vocabularies,
    require_tokens_in_embedding,
)

WORDS = ("<pad>", "<eos>", "a", "b", "c")
PAIR = Path(__file__).resolve().parents[3] / "pairs" / "arithmetic"


def tokenizer(*words: str, lower: bool = False, **special: str) -> transformers.PreTrainedTokenizerFast:
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: place for place, word in enumerate(words)}))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if lower:
        backend.normalizer = tokenizers.normalizers.Lowercase()
    special = {"eos_token": "<eos>", "pad_token": "<pad>"} | special
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def test_one_tokenizer_twice_has_nothing_to_tell():
    found = compare_vocabularies(tokenizer(*WORDS), tokenizer(*WORDS), 5, 5)
    assert found == VocabularyFindings() and found.describe() == ""
    found.require()


def test_tokens_beyond_the_embedding():
    found = compare_vocabularies(tokenizer(*WORDS), tokenizer(*WORDS), 5, 3)
    assert len(found.errors) == 1 and not found.warnings
    with pytest.raises(ValueError, match=r"the tokenizer of tuned has tokens .* of 3 rows lacks: 'b' \(3\), 'c' \(4\)"):
        found.require()


def test_padded_embeddings_are_harmless():
    found = compare_vocabularies(tokenizer(*WORDS), tokenizer(*WORDS), 8, 5)
    assert (found.errors, found.warnings) == ((), ())
    assert found.notes == (
        "the embedding of base has 3 rows after its tokenizer's last token (padding)",
        "embeddings have 8 rows in base and 5 in tuned",
    )


def test_tokens_that_changed_places():
    found = compare_vocabularies(tokenizer(*WORDS), tokenizer("<pad>", "<eos>", "b", "a", "c"), 5, 5)
    (error,) = found.errors
    assert error.startswith("tokens have other numbers in tuned than in base: 'a' (2), 'b' (3)")
    assert found.warnings == ()


def test_a_renamed_token():
    """As when a reserved token becomes <think>."""
    found = compare_vocabularies(tokenizer(*WORDS, "<reserved>"), tokenizer(*WORDS, "<think>"), 6, 6)
    assert not found.errors
    assert found.warnings[0] == "numbers stand for another token in base / tuned: '<reserved> / <think>' (5)"


def test_a_token_that_was_added_in_training():
    found = compare_vocabularies(tokenizer(*WORDS), tokenizer(*WORDS, "<think>"), 5, 6)
    assert not found.errors
    assert found.warnings == (
        "only the tokenizer of tuned has '<think>' (5); 1 of them lie beyond the embedding of base, which cannot be "
        "given them",
    )
    padded = compare_vocabularies(tokenizer(*WORDS), tokenizer(*WORDS, "<think>"), 6, 6)
    assert padded.warnings == ("only the tokenizer of tuned has '<think>' (5)",)


def test_long_lists_are_cut():
    found = compare_vocabularies(tokenizer(*WORDS), tokenizer(*WORDS, *"defghijk"), 13, 13)
    assert found.warnings == ("only the tokenizer of tuned has 'd' (5), 'e' (6), 'f' (7), 'g' (8), 'h' (9) and 3 more",)


def test_special_tokens():
    found = compare_vocabularies(tokenizer(*WORDS), tokenizer(*WORDS, eos_token="c", pad_token="<eos>"), 5, 5)
    assert found.warnings == ("eos_token is '<eos>' in base and 'c' in tuned",)
    assert found.notes == ("pad_token is '<pad>' in base and '<eos>' in tuned",)


def test_other_rules_of_cutting():
    found = compare_vocabularies(tokenizer(*WORDS), tokenizer(*WORDS, lower=True), 5, 5)
    assert found.warnings == ("the tokenizers cut text by other rules (normalizer): one text, two token lists",)


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("line\nof base", "line\nof tuned", "base has 'of base' and tuned has 'of tuned'"),
        (None, "some", "only tuned has one"),
        ("some", None, "only base has one"),
        ("some", "some\nmore", "tuned has 'more'"),
    ],
)
def test_chat_templates(one: str | None, other: str | None, message: str):
    base, tuned = tokenizer(*WORDS), tokenizer(*WORDS)
    base.chat_template, tuned.chat_template = one, other
    found = compare_vocabularies(base, tuned, 5, 5)
    assert found.warnings == (f"chat templates differ: {message}",)
    assert found.describe() == f"warning: chat templates differ: {message}"


def test_folders(tmp_path: Path):
    """The shipped pair has nothing to tell; with a smaller embedding in its configuration it has."""
    assert check_vocabularies(PAIR / "base", PAIR / "grpo") == VocabularyFindings()
    smaller = shutil.copytree(PAIR / "grpo", tmp_path / "smaller")
    attributes = json.loads((smaller / "config.json").read_text())
    (smaller / "config.json").write_text(json.dumps(attributes | {"vocab_size": 31}))
    (error,) = check_vocabularies(PAIR / "base", smaller).errors
    assert "tokens that its embedding of 31 rows lacks: 'd' (31)" in error


def test_an_adapter_has_its_bases_vocabulary(tmp_path: Path):
    config = {"peft_type": "LORA", "base_model_name_or_path": "owner/model"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert check_vocabularies(PAIR / "base", tmp_path) == VocabularyFindings()
    tokenizer(*WORDS).save_pretrained(tmp_path)  # one of its own
    assert check_vocabularies(PAIR / "base", tmp_path).errors


def test_tokens_of_sequences():
    require_tokens_in_embedding([[0, 1], [4]], 5, "base")
    with pytest.raises(ValueError) as caught:
        require_tokens_in_embedding([[0, 1], [5, 9, 5], [-1]], 5, "base")
    assert "2 sequences have tokens that the embedding of base (5 rows) lacks" in str(caught.value)
    assert "sequence 1: [5, 9]; sequence 2: [-1]" in str(caught.value)
