"""Responses as files."""

import pytest

from jaxeap.tasks.responses import Response, read_responses, write_responses


def test_round_trip(tmp_path):
    responses = [
        Response("37+58", (5, 9, 12, 7, 10, 14), (7, 11, 2, 1), "590", True),
        Response("q", (0,), (), "", False),
    ]
    write_responses(tmp_path / "r.jsonl", responses)
    assert read_responses(tmp_path / "r.jsonl") == responses
    assert (
        (tmp_path / "r.jsonl")
        .read_text(encoding="utf-8")
        .startswith('{"question_id": "37+58", "prompt_tokens": [5, 9, 12, 7, 10, 14], "answer_tokens": [7, 11, 2, 1], ')
    )


def test_a_bad_record_is_named(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"question_id": "a", "prompt_tokens": [1]}', encoding="utf-8")
    with pytest.raises(ValueError, match="line 1: key 'answer_tokens' is missing"):
        read_responses(tmp_path / "r.jsonl")
