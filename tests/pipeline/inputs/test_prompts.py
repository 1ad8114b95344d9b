"""Prompts of small tokenizers built here: with and without a beginning-of-text token, and with a chat template."""

import pytest
import tokenizers
import transformers

from jaxeap.pipeline.inputs.prompts import pair_prompts, prompt_tokens
from jaxeap.tasks.questions import Question

WORDS = ("<s>", "</s>", "<user>", "<bot>", "what", "is", "one", "two", "{", "}")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<user> {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<bot>{% endif %}"
)


def tokenizer(
    words: tuple[str, ...] = WORDS, adds_begin: bool = True, chat_template: str | None = CHAT_TEMPLATE
) -> transformers.PreTrainedTokenizerFast:
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    if adds_begin:
        backend.post_processor = tokenizers.processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 0)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<user>", "<bot>"],
        chat_template=chat_template,
    )


def words(tokens: list[int]) -> list[str]:
    return [WORDS[token] for token in tokens]


@pytest.mark.parametrize("template", ["{question}", "<s>{question}", "<s> {question}"])
def test_exactly_one_beginning_of_text_where_the_tokenizer_puts_one(template):
    assert words(prompt_tokens(tokenizer(), "what is", template, False)) == ["<s>", "what", "is"]


def test_none_where_the_tokenizer_puts_none():
    assert words(prompt_tokens(tokenizer(adds_begin=False), "what is", "{question}", False)) == ["what", "is"]


def test_template_goes_around_the_question_and_other_braces_are_text():
    tokens = prompt_tokens(tokenizer(), "what", "is { {question} } one", False)
    assert words(tokens) == ["<s>", "is", "{", "what", "}", "one"]


@pytest.mark.parametrize("adds_begin", [True, False])
def test_chat_template_is_that_of_the_tokenizer(adds_begin):
    chat = tokenizer(adds_begin=adds_begin)
    tokens = prompt_tokens(chat, "what is", "{question} one", True)
    assert words(tokens) == ["<s>", "<user>", "what", "is", "one", "<bot>"]
    expected = chat.apply_chat_template(
        [{"role": "user", "content": "what is one"}], add_generation_prompt=True, tokenize=True, return_dict=False
    )
    assert tokens == expected


def test_missing_chat_template_is_an_error():
    with pytest.raises(ValueError, match=r"has no chat template; set config\.chat_template=False"):
        prompt_tokens(tokenizer(chat_template=None), "what", "{question}", True)


def test_chat_template_that_refuses_is_quoted():
    refusing = "{{ raise_exception('a system message must come first') }}"
    with pytest.raises(ValueError, match="refuses a single user's message: a system message must come first"):
        prompt_tokens(tokenizer(chat_template=refusing), "what", "{question}", True)


def test_equal_prompts_of_a_pair():
    questions = [Question("1", "what is one", "1"), Question("2", "two", "2")]
    prompts = pair_prompts(tokenizer(), tokenizer(), questions, "{question}", False)
    assert [words(prompt) for prompt in prompts] == [["<s>", "what", "is", "one"], ["<s>", "two"]]


def test_first_difference_of_a_pair_is_shown():
    exchanged = (*WORDS[:6], "two", "one", *WORDS[8:])
    questions = [Question("1", "what is", "1"), Question("2", "what is one", "1")]
    with pytest.raises(ValueError, match=r"question '2', token 3, after .*: base 6 'one', tuned 7 'one'"):
        pair_prompts(tokenizer(), tokenizer(exchanged), questions, "{question}", False)


def test_prompts_of_different_lengths_are_a_difference():
    with pytest.raises(ValueError, match=r"token 0.*: base 0 '<s>', tuned 4 'what'"):
        pair_prompts(tokenizer(), tokenizer(adds_begin=False), [Question("1", "what", "1")], "{question}", False)
    without_end = CHAT_TEMPLATE.replace("<bot>", "")
    with pytest.raises(ValueError, match=r"token 3.*: base 3 '<bot>', tuned the end of the prompt"):
        pair_prompts(
            tokenizer(), tokenizer(chat_template=without_end), [Question("1", "what", "1")], "{question}", True
        )
