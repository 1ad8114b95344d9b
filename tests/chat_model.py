"""A tokenizer with Qwen's markers of a conversation, and the shape of a small model for it."""

import tokenizers
import transformers

from jaxeap.models.config import ModelConfig
from jaxeap.models.rope import RopeConfig

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def chat_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One token a byte, and Qwen's markers of a conversation."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(tokenizers.models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


def flagship_shape() -> ModelConfig:
    return ModelConfig(
        family="qwen2",
        vocab_size=272,
        embed_dim=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        mlp_dim=48,
        activation="silu",
        norm_epsilon=1e-6,
        rope=RopeConfig(theta=1e6),
        windows=(None, None),
        qkv_bias=True,
        tied_embeddings=False,
    )
