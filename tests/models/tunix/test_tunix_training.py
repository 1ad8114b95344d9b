"""google-tunix itself trains jaxeap's decoder and samples from it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxeap.models.tunix.adapter import TunixDecoder
from jaxeap.models.tunix.agreement import tunix_inputs
from jaxeap.models.tunix.convert import from_tunix
from tests.tiny_decoder import tiny_decoder

pytest.importorskip("tunix", reason="google-tunix brings a hundred packages: `make test-tunix`")
pytestmark = pytest.mark.standard_promotion


@pytest.fixture(autouse=True)
def ranks_as_tunix_mixes_them():
    with jax.numpy_rank_promotion("allow"):
        yield


class Letters:
    """A tokenizer of one token a character, as small as Tunix takes one."""

    def encode(self, text: str, **_: Any) -> list[int]:
        return [ord(character) - ord("a") + 3 for character in text]

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(chr(int(token) + ord("a") - 3) for token in ids)

    def bos_id(self) -> int:
        return 1

    def eos_id(self) -> int:
        return 2

    def pad_id(self) -> int:
        return 0


def test_the_trainer_of_tunix_trains_it():
    from tunix.sft import peft_trainer

    decoder = tiny_decoder()
    tokens = np.random.default_rng(0).integers(3, 32, (4, 9), np.int32)
    examples = [peft_trainer.TrainingInput(input_tokens=tokens, input_mask=np.ones(tokens.shape, bool))] * 12
    config = peft_trainer.TrainingConfig(eval_every_n_steps=100, max_steps=12)
    trainer = peft_trainer.PeftTrainer(TunixDecoder(decoder), optax.sgd(0.5), config)

    def inputs(example: Any) -> dict[str, Any]:
        positions, attention_mask = tunix_inputs(jnp.asarray(example.input_mask))
        named = {"input_tokens": example.input_tokens, "input_mask": example.input_mask}
        return {**named, "positions": positions, "attention_mask": attention_mask}

    trainer.with_gen_model_input_fn(inputs).train(examples)
    trained = from_tunix(trainer.model)

    def loss(logits: jax.Array) -> float:
        return float(optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], tokens[:, 1:]).mean())

    assert loss(trained(tokens)) < loss(decoder(tokens)) - 0.2


def test_the_sampler_of_tunix_decodes_what_the_decoder_prefers():
    from tunix.generate import sampler as sampler_lib

    decoder = tiny_decoder()
    shape = decoder.config
    cache = sampler_lib.CacheConfig(32, shape.num_layers, shape.num_kv_heads, shape.head_dim)
    sampler = sampler_lib.Sampler(TunixDecoder(decoder), Letters(), cache)
    prompts, steps = ["abcde", "xy"], 6
    output = sampler(prompts, max_generation_steps=steps, max_prompt_length=8, eos_tokens=[31], return_logits=True)
    for prompt, made in zip(prompts, output.tokens, strict=True):
        tokens = [Letters().bos_id(), *Letters().encode(prompt)]
        for token in np.asarray(made)[:steps]:
            best = int(np.argmax(decoder(jnp.asarray([tokens]))[0, -1]))
            assert int(token) == best
            tokens.append(best)
            if best == 31:
                break
        assert len(tokens) > len(prompt) + 3
