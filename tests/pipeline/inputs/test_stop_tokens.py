import json

import pytest

from jaxeap.pipeline.inputs.stop_tokens import stop_tokens
from jaxeap.tasks.tokenizer import arithmetic_tokenizer


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        ({"eos_token_id": [7, 9]}, {"eos_token_id": 3}, (7, 9)),
        ({"eos_token_id": 7}, {"eos_token_id": 3}, (7,)),
        ({"temperature": 0.6}, {"eos_token_id": 3}, (3,)),
        (None, {"eos_token_id": [3, 0]}, (3, 0)),
        (None, {"eos_token_id": None}, (1,)),
        ({"eos_token_id": 0}, {}, (0,)),
    ],
)
def test_first_file_that_names_one_decides_and_the_tokenizer_comes_last(tmp_path, generation, config, expected):
    for name, content in (("generation_config.json", generation), ("config.json", config)):
        if content is not None:
            (tmp_path / name).write_text(json.dumps(content))
    assert stop_tokens(tmp_path, arithmetic_tokenizer()) == expected


def test_nothing_that_ends_an_answer_is_an_error(tmp_path):
    tokenizer = arithmetic_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="no answer would end"):
        stop_tokens(tmp_path, tokenizer)
