"""From questions to responses."""

import pytest

from jaxeap.models.model import Decoder
from jaxeap.sampling.generate import generate
from jaxeap.sampling.respond import require_eos, respond, responses_of
from jaxeap.tasks.arithmetic import arithmetic_questions
from jaxeap.tasks.questions import Question
from jaxeap.tasks.tokenizer import arithmetic_tokenizer, encode_prompt


def test_responses_hold_what_was_asked_and_what_was_generated(model: Decoder) -> None:
    tokenizer = arithmetic_tokenizer()
    questions = arithmetic_questions("test", 9, seed=0)
    prompts = [encode_prompt(tokenizer, question.question) for question in questions]
    answers = generate(model, prompts, max_new_tokens=5, stop_tokens=(tokenizer.eos_token_id,), temperature=1.0, seed=2)
    responses = respond(model, tokenizer, questions, max_new_tokens=5, temperature=1.0, seed=2, batch_size=4)
    assert [response.question_id for response in responses] == [question.id for question in questions]
    assert [list(response.prompt_tokens) for response in responses] == prompts
    assert [list(response.answer_tokens) for response in responses] == answers


def test_text_leaves_special_tokens_out_and_only_the_stop_token_finishes() -> None:
    tokenizer = arithmetic_tokenizer()
    digits = tokenizer.convert_tokens_to_ids(list("590"))
    questions = [Question("a", "37+58=", "590"), Question("b", "37+58=", "590")]
    ended, cut = responses_of(tokenizer, questions, [[2], [2]], [[*digits, 1], digits], stop=1)
    assert (ended.text, ended.finished, ended.answer_tokens) == ("590", True, (*digits, 1))
    assert (cut.text, cut.finished, cut.answer_tokens) == ("590", False, tuple(digits))


def test_a_tokenizer_without_end_is_refused() -> None:
    tokenizer = arithmetic_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="no eos token"):
        require_eos(tokenizer)
