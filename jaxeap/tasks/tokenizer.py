"""The small models' tokenizer, and loading any tokenizer from a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import tokenizers
import transformers

PAD_TOKEN, EOS_TOKEN = "<pad>", "<eos>"

# In the order of their ids. What the arithmetic questions of today need comes first; the rest is for later tasks on
# the same vocabulary (worked steps, modular arithmetic, brackets, strings). Changing the order breaks shipped models.
VOCABULARY = (PAD_TOKEN, EOS_TOKEN, *"0123456789+-=", *" *%,;:>()[]{}abcd")


def arithmetic_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One token for each character: 32 tokens, `<pad>` 0, `<eos>` 1, digits 2 to 11; no beginning-of-text token.

    `save_pretrained(folder)` writes tokenizer.json and tokenizer_config.json, which transformers reads anywhere.
    """
    # The byte-level form (a space is spelled "Ġ") is what AutoTokenizer makes of any tokenizer beside a Qwen2 config,
    # so it yields these tokens too. And a WordLevel model without an unknown token refuses a character that it lacks.
    ids = {token.replace(" ", "Ġ"): i for i, token in enumerate(VOCABULARY)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), behavior="isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD_TOKEN,
        eos_token=EOS_TOKEN,
        unk_token=None,  # written out, for Qwen2's own class would add a token past the vocabulary
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(folder: str | os.PathLike[str]) -> transformers.PreTrainedTokenizerBase:
    """Loads the tokenizer of a local Hugging Face model folder. Code that a folder brings along is never run.

    A tokenizer.json is taken as it stands. AutoTokenizer, which transformers 5 has replace the rules of the file by
    those of the model type's class (for Qwen2, it drops characters silently where the two differ), is the way for
    folders without one.

    Raises:
      FileNotFoundError: there is no such folder, or no tokenizer in it.
      ValueError: its tokenizer.json cannot be read, or the tokenizer is code that the folder brings along.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder (expected a local model folder with its tokenizer files)")
    if (folder / "tokenizer.json").is_file():
        try:
            return transformers.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # of many types, by what is wrong with the file
            raise ValueError(
                f"{folder / 'tokenizer.json'} cannot be read as a tokenizer ({type(error).__name__}: {error}); copy "
                "the model's own again"
            ) from error
    _refuse_code(folder)
    older = ("tokenizer.model", "vocab.json")
    if not any((folder / name).is_file() for name in older):
        raise FileNotFoundError(
            f"{folder}: no tokenizer in this folder (looked for tokenizer.json, {', '.join(older)}); "
            "copy the tokenizer files of the model into it"
        )
    return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _refuse_code(folder: Path) -> None:
    for name in ("tokenizer_config.json", "config.json"):
        try:
            settings = json.loads((folder / name).read_text(encoding="utf-8"))
            named = settings["auto_map"]["AutoTokenizer"]
        except (FileNotFoundError, KeyError, TypeError, ValueError):  # none, no such entry; damage is told elsewhere
            continue
        raise ValueError(
            f"{folder}: the tokenizer is code of the folder's own ({name} names {named}), and jaxeap runs no code that "
            "comes with a model. Where you trust it, load it once with transformers and save it as tokenizer.json: "
            "AutoTokenizer.from_pretrained(FOLDER, trust_remote_code=True).save_pretrained(FOLDER), if it is a fast one"
        )


def encode_prompt(tokenizer: transformers.PreTrainedTokenizerBase, text: str) -> list[int]:
    """The tokens of the text as given: a template's special tokens are read, and none is added.

    Raises:
      ValueError: the text is empty, or has a character that the tokenizer lacks.
    """
    if not text:
        raise ValueError("the prompt is empty; a model needs at least one token to answer")
    try:
        return tokenizer.encode(text, add_special_tokens=False)
    except Exception as error:  # the tokenizers library raises nothing more precise
        refused = "".join(sorted(character for character in set(text) if not _encodes(tokenizer, character)))
        raise ValueError(
            f"the tokenizer has no token for {refused!r} in the prompt {text!r:.80}; is it the model's own, and is the "
            f"prompt's template one for this model? ({error})"
        ) from error


def _encodes(tokenizer: transformers.PreTrainedTokenizerBase, text: str) -> bool:
    try:
        tokenizer.encode(text, add_special_tokens=False)
    except Exception:
        return False
    return True
