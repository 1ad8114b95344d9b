"""Stop strings over a byte-level tokenizer, whose tokens begin and end anywhere."""

import pytest
import tokenizers
import transformers

from jaxeap.sampling.stop_strings import cut_text, stop_at


@pytest.fixture(scope="module")
def tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Every byte is a token, "ab", "c\\n" and "\\nQ" too."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, "ab", "cĊ", "ĊQ"]
    merges = [("a", "b"), ("c", "Ċ"), ("Ċ", "Q")]
    model = tokenizers.models.BPE({piece: index for index, piece in enumerate(pieces)}, merges)
    built = tokenizers.Tokenizer(model)
    built.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    built.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=built)


@pytest.mark.parametrize(
    ("text", "strings", "kept"),
    [
        ("abc\nQ: d", ("\nQ:",), "abc"),
        ("abc\nQ: d", ("Q: ", "c\n"), "ab"),
        ("é→ö, then ü", ("→ö",), "é"),
        ("nothing of it", ("\nQ:",), "nothing of it"),
        ("abab stop stop", ("stop",), "abab "),
    ],
)
def test_the_answer_ends_with_the_token_that_completes_a_string_however_tokens_come(tokenizer, text, strings, kept):
    tokens = tokenizer.encode(text)
    lengths = range(len(tokens) + 1)
    hits = [n for n in lengths if any(string in tokenizer.decode(tokens[:n]) for string in strings)]
    expected = hits[0] if hits else None
    stop = stop_at(tokenizer, strings)
    for step in (1, 2, 3, len(tokens)):
        found, checked = None, 0
        while found is None and checked < len(tokens):
            found = stop(tokens[: checked + step], checked)
            checked += step
        assert found == expected
    assert cut_text(tokenizer.decode(tokens[:expected]), strings) == kept
