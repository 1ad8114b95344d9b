"""The small tokenizer: one token a character, the same after saving, the same by AutoTokenizer."""

import json

import pytest
import transformers

from jaxeap.tasks.arithmetic import arithmetic_problems
from jaxeap.tasks.tokenizer import VOCABULARY, arithmetic_tokenizer, encode_prompt, load_tokenizer

CHARACTERS = "".join(VOCABULARY[2:])


@pytest.fixture(scope="module")
def tokenizer():
    return arithmetic_tokenizer()


@pytest.fixture
def saved(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_ids_by_hand(tokenizer):
    assert len(tokenizer) == len(set(VOCABULARY)) == 32
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (0, 1, None)
    assert encode_prompt(tokenizer, "37+58=") == [5, 9, 12, 7, 10, 14]
    assert encode_prompt(tokenizer, "0123456789+-=") == list(range(2, 15))
    assert encode_prompt(tokenizer, "590<eos>") == [7, 11, 2, 1]


def test_every_character_is_one_token_and_comes_back(tokenizer):
    assert encode_prompt(tokenizer, CHARACTERS) == list(range(2, 32))
    assert tokenizer.decode(range(2, 32)) == CHARACTERS
    assert tokenizer.decode([2, 15, 15, 3, 1, 0], skip_special_tokens=True) == "0  1"


def test_every_question_and_answer_fits(tokenizer):
    for question in arithmetic_problems("test"):
        tokens = encode_prompt(tokenizer, question.question + question.answer)
        assert len(tokens) == 9
        assert tokenizer.decode(tokens) == question.question + question.answer


def test_nothing_is_added(tokenizer):
    assert tokenizer.encode("12") == encode_prompt(tokenizer, "12") == [3, 4]


@pytest.mark.parametrize(("text", "named"), [("3x+z", "'xz'"), ("3\n", r"'\\n'"), ("é", "'é'")])
def test_unknown_characters_are_named_instead_of_lost(tokenizer, text, named):
    with pytest.raises(ValueError, match=f"no token for {named} in the prompt"):
        encode_prompt(tokenizer, text)


def test_an_empty_prompt_is_refused(tokenizer):
    with pytest.raises(ValueError, match="prompt is empty"):
        encode_prompt(tokenizer, "")


@pytest.mark.parametrize("model_type", [None, "qwen2", "llama", "mistral"])
def test_saved_and_loaded_beside_any_config(saved, model_type):
    """AutoTokenizer makes Qwen2's own pipeline of the vocabulary; the tokens must be the same nevertheless."""
    if model_type is not None:
        (saved / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    for loaded in (load_tokenizer(saved), transformers.AutoTokenizer.from_pretrained(saved)):
        assert len(loaded) == 32
        assert (loaded.pad_token_id, loaded.eos_token_id) == (0, 1)
        assert encode_prompt(loaded, CHARACTERS) == list(range(2, 32))
        assert loaded.decode(range(2, 32)) == CHARACTERS


def test_a_loaded_tokenizer_still_refuses_unknown_characters(saved):
    (saved / "config.json").write_text('{"model_type": "qwen2"}', encoding="utf-8")
    with pytest.raises(ValueError, match="no token for 'x'"):
        encode_prompt(load_tokenizer(saved), "3x")


def test_a_folder_without_tokenizer_json_goes_to_autotokenizer(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n", encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    assert encode_prompt(load_tokenizer(tmp_path), "aba") == [2, 0]


@pytest.mark.parametrize("content", ['{"x":', "{}"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json cannot be read as a tokenizer .*copy the model's own again"):
        load_tokenizer(tmp_path)


def test_missing_folders_and_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        load_tokenizer(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"no tokenizer in this folder \(looked for tokenizer\.json"):
        load_tokenizer(tmp_path)
