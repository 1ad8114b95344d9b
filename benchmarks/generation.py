"""Tokens a second of continuous batching, and of transformers on the same weights, prompts and processor, in turn."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder
from jaxeap.models.rope import RopeConfig
from jaxeap.models.save import save_model
from jaxeap.sampling.generate import generate
from jaxeap.tasks.tokenizer import arithmetic_tokenizer

TokenLists = list[list[int]]


def tiny_model(layers: int, width: int) -> Decoder:
    """A random Qwen2-shaped model over the 32 tokens of the shipped pair's tokenizer."""
    config = ModelConfig(
        family="qwen2",
        vocab_size=32,
        embed_dim=width,
        num_layers=layers,
        num_heads=4,
        num_kv_heads=2,
        head_dim=width // 4,
        mlp_dim=3 * width,
        activation="silu",
        norm_epsilon=1e-6,
        rope=RopeConfig(),
        windows=(None,) * layers,
        qkv_bias=True,
        tied_embeddings=True,
    )
    return Decoder.random(config, seed=0)


def jaxeap_generation(model: Decoder, prompts: TokenLists, tokens: int) -> Callable[[], TokenLists]:
    """Greedy answers of exactly `tokens` tokens."""
    return lambda: generate(model, prompts, max_new_tokens=tokens, stop_tokens=(), batch_size=len(prompts))


def transformers_generation(model: Decoder, prompts: TokenLists, tokens: int) -> Callable[[], TokenLists]:
    """The same from transformers' `generate`; prompts are of one length, so that it need not pad."""
    import torch
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        save_model(model, Path(folder), arithmetic_tokenizer())
        other = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    other.generation_config.eos_token_id = None  # As long as it is set, its token would end answers.
    given = torch.tensor(prompts)

    def run() -> TokenLists:
        with torch.no_grad():
            whole = other.generate(
                given,
                attention_mask=torch.ones_like(given),
                do_sample=False,
                max_new_tokens=tokens,
                pad_token_id=0,
            )
        return whole[:, given.shape[1] :].tolist()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=32, help="answers at once")
    parser.add_argument("--tokens", type=int, default=256, help="of each answer")
    parser.add_argument("--prompt", type=int, default=16, help="tokens of each prompt")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5, help="rounds, in each of which both run once")
    parser.add_argument("--threads", type=int, help="of PyTorch; its own choice where none is given")
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)

    model = tiny_model(arguments.layers, arguments.width)
    prompts = np.random.default_rng(0).integers(2, 32, (arguments.rows, arguments.prompt)).tolist()
    runs = {
        "jaxeap": jaxeap_generation(model, prompts, arguments.tokens),
        "transformers": transformers_generation(model, prompts, arguments.tokens),
    }
    ours, theirs = (run() for run in runs.values())  # The first run compiles.
    alike = sum(a == b for a, b in zip(ours, theirs, strict=True))
    print(f"{alike} of {arguments.rows} answers are equal token for token")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    for name, measured in seconds.items():
        rate = arguments.rows * arguments.tokens / statistics.median(measured)
        print(f"{name:12s} {statistics.median(measured):7.3f} s {rate:9,.0f} tokens/s (median of {len(measured)})")
    rounds = [b / a for a, b in zip(seconds["jaxeap"], seconds["transformers"], strict=True)]
    print(f"jaxeap is {statistics.median(rounds):.1f} times as fast (median over rounds; {min(rounds):.1f} to ", end="")
    print(f"{max(rounds):.1f})")


if __name__ == "__main__":
    main()
