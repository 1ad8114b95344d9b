"""Every template as text and as tokens, by small tokenizers of the kinds that the paper's models have."""

import pytest
import tokenizers
import transformers
from tokenizers import Regex, models, normalizers, pre_tokenizers, processors, trainers

from jaxeap.pipeline.inputs.prompts import pair_prompts, prompt_tokens
from jaxeap.tasks.questions import Question
from jaxeap.tasks.templates import CHAT, TEMPLATES, resolve_template

ASKED = "What is 7?"
CORPUS = [text.replace("{question}", ASKED) for text in TEMPLATES.values()]
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
QWEN_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEEPSEEK_BEGIN, DEEPSEEK_END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"  # noqa: RUF001
DEEPSEEK_CHAT = (
    "{{ bos_token }}{% for message in messages %}{{ 'User: ' + message['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
MISTRAL_CHAT = "{{ bos_token }}{% for message in messages %}[INST] {{ message['content'] }} [/INST]{% endfor %}"


def _trained(backend: tokenizers.Tokenizer, special: list[str]) -> tokenizers.Tokenizer:
    """With so many merges that every word of the templates is one token, whatever the order of the merges."""
    trainer = trainers.BpeTrainer(vocab_size=5000, special_tokens=special, show_progress=False)
    backend.train_from_iterator(CORPUS * 3, trainer)
    return backend


@pytest.fixture(scope="module")
def qwen():
    """Byte-level BPE with markers of a conversation, and no beginning of text."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = tokenizers.decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=_trained(backend, special),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=QWEN_CHAT,
    )


@pytest.fixture(scope="module")
def deepseek():
    """Byte-level BPE that begins every text with a token of its own."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    _trained(backend, [DEEPSEEK_BEGIN, DEEPSEEK_END])
    begin = backend.token_to_id(DEEPSEEK_BEGIN)
    backend.post_processor = processors.TemplateProcessing(
        f"{DEEPSEEK_BEGIN} $A", special_tokens=[(DEEPSEEK_BEGIN, begin)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=DEEPSEEK_BEGIN, eos_token=DEEPSEEK_END, chat_template=DEEPSEEK_CHAT
    )


@pytest.fixture(scope="module")
def mistral():
    """BPE with spaces as ▁ and bytes for what it lacks, as SentencePiece has it; [INST] is plain text."""
    backend = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("▁"), behavior="merged_with_next")
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    _trained(backend, special)
    backend.post_processor = processors.TemplateProcessing(
        "<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", chat_template=MISTRAL_CHAT
    )


def shown(tokenizer, template: str, chat_template: bool = False) -> list[str]:
    return tokenizer.convert_ids_to_tokens(prompt_tokens(tokenizer, ASKED, template, chat_template))


STEPS_BYTE_LEVEL = "Please Ġreason Ġstep Ġby Ġstep , Ġand Ġput Ġyour Ġfinal Ġanswer Ġwithin"


def test_qwen25_math_cot(qwen):
    expected = (
        f"<|im_start|> system Ċ {STEPS_BYTE_LEVEL} Ġ\\ boxed {{}}. <|im_end|> Ċ "
        "<|im_start|> user Ċ What Ġis Ġ 7 ? <|im_end|> Ċ <|im_start|> assistant Ċ"
    )
    assert shown(qwen, "qwen25-math-cot") == expected.split()


def test_deepseek_math(deepseek):
    assert shown(deepseek, "deepseek-math") == (
        f"{DEEPSEEK_BEGIN} User : ĠWhat Ġis Ġ7 ? Ċ {STEPS_BYTE_LEVEL} Ġ\\ boxed {{}}. Ċ Ċ Assistant :".split()
    )
    assert deepseek.decode(prompt_tokens(deepseek, ASKED, "deepseek-math", False)) == DEEPSEEK_BEGIN + (
        "User: What is 7?\nPlease reason step by step, and put your final answer within \\boxed{}.\n\nAssistant:"
    )


def test_mistral(mistral):
    assert shown(mistral, "mistral") == ["<s>", "▁[INST]", "▁What", "▁is", "▁7?[/INST]"]


def test_shepherd(mistral):
    tokens = shown(mistral, "shepherd")
    assert tokens[:4] == ["<s>", "▁What", "▁is", "▁7?\n"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("qwen", f"<|im_start|>user\n{ASKED}<|im_end|>\n<|im_start|>assistant\n"),
        ("deepseek", f"{DEEPSEEK_BEGIN}User: {ASKED}\n\nAssistant:"),
        ("mistral", f"<s>[INST] {ASKED} [/INST]"),
    ],
)
def test_chat_is_the_tokenizers_own(request, kind, text):
    tokenizer = request.getfixturevalue(kind)
    tokens = prompt_tokens(tokenizer, ASKED, CHAT, False)
    messages = [{"role": "user", "content": ASKED}]
    assert tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) == text
    assert tokens == tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert tokens == prompt_tokens(tokenizer, ASKED, "{question}", True)


@pytest.mark.parametrize("kind", ["qwen", "deepseek", "mistral"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_exactly_one_beginning_where_the_tokenizer_has_one(request, kind, template):
    tokenizer = request.getfixturevalue(kind)
    tokens = prompt_tokens(tokenizer, ASKED, template, False)
    if tokenizer.bos_token_id is None:
        assert tokens == tokenizer.encode(
            TEMPLATES[template].replace("{question}", ASKED)
            if template != CHAT
            else f"<|im_start|>user\n{ASKED}<|im_end|>\n<|im_start|>assistant\n"
        )
    else:
        assert tokens[0] == tokenizer.bos_token_id
        assert tokens.count(tokenizer.bos_token_id) == 1
    if template != CHAT:
        assert tokens == tokenizer.encode(TEMPLATES[template].replace("{question}", ASKED))


def test_two_beginnings_are_refused(mistral):
    with pytest.raises(ValueError, match=r"two beginning-of-text tokens \('<s>'\); take one out of config\.template"):
        prompt_tokens(mistral, ASKED, "<s><s>{question}", False)
    twice = transformers.PreTrainedTokenizerFast(
        tokenizer_object=mistral.backend_tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        chat_template="{{ bos_token }}" + MISTRAL_CHAT,
    )
    with pytest.raises(ValueError, match="take one out of the chat template or config"):
        prompt_tokens(twice, ASKED, CHAT, False)


def test_pair_with_unlike_tokenizers_is_refused_at_the_first_difference(mistral, deepseek):
    with pytest.raises(ValueError, match=r"question 'q', token \d+, after .*: base \d+ '.*', tuned \d+ '.*'"):
        pair_prompts(mistral, deepseek, [Question("q", ASKED, "7")], "deepseek-math", False)
    same = pair_prompts(mistral, mistral, [Question("q", ASKED, "7")], "mistral", False)
    assert same == [prompt_tokens(mistral, ASKED, "mistral", False)]


def test_what_is_no_template():
    with pytest.raises(
        ValueError, match=r"must hold \{question\}, where the question goes, or be one of deepseek-math"
    ):
        resolve_template("deepseek", False)
    with pytest.raises(ValueError, match="'mistral' is a whole prompt"):
        resolve_template("mistral", True)
    assert resolve_template("x {question}", True) == ("x {question}", True)
