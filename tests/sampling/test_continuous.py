"""Continuous batching against one full forward pass a token, whatever the rows, blocks, pool and company are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap.sampling.continuous as continuous
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import nest, parameter_specs
from jaxeap.parallel.mesh import make_mesh
from jaxeap.parallel.sharding import sharding_of
from jaxeap.sampling import paged_cache
from jaxeap.sampling.cache_form import ACCELERATOR
from jaxeap.sampling.generate import answers
from jaxeap.sampling.options import SamplingOptions
from tests.models.tiny_configs import CONFIGS

LENGTHS = (9, 2, 10, 2, 9)
"""Two of them are padded to one length; few padded lengths, since each is a program to compile."""
PROMPTS = [np.random.default_rng(place).integers(3, 32, length).tolist() for place, length in enumerate(LENGTHS)]
NEW = 12
LONGEST = max(LENGTHS) + NEW
STOPS = (0, 1, 2)
"""Three of 32 tokens, so that random models end some answers early."""


def naive(model: Decoder, prompt: list[int]) -> list[int]:
    """Greedy decoding with one pass over the whole prefix a token, no cache; padded to one length for one program."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + NEW and not (len(tokens) > len(prompt) and tokens[-1] in STOPS):
        padded = np.array([tokens + [0] * (LONGEST - len(tokens))], np.int32)
        logits = model(padded, np.arange(LONGEST)[None] < len(tokens))
        tokens.append(int(logits[0, len(tokens) - 1].argmax()))
    return tokens[len(prompt) :]


def written(model: Decoder, prompts: list[list[int]] = PROMPTS, stops=STOPS, **options) -> list[list[int]]:
    """Answers in order of prompt and sample; 2 rows for the 5 prompts, so that rows are filled anew."""
    chosen = SamplingOptions(**{"max_new_tokens": NEW, "batch_size": 2, "cache_block": 8} | options)
    return [answer.tokens for answer in sorted(answers(model, prompts, chosen, stop_tokens=stops))]


# Windows of 4, in all layers or some: whole blocks fall out of them. Routed experts; parallel blocks; soft caps.
@pytest.mark.parametrize("family", ["gemma2", "qwen3_moe", "gpt_neox"])
def test_families_equal_naive_decoding(family: str) -> None:
    model = Decoder.random(CONFIGS[family], seed=1)
    expected = [naive(model, prompt) for prompt in PROMPTS]
    assert written(model) == expected
    assert len({tuple(answer) for answer in expected}) > 2, "answers that are all alike would show nothing"


@pytest.mark.parametrize("pool", [{}, {"cache_tokens": 48}], ids=["blocks of their own", "a pool"])
def test_the_form_of_an_accelerator(model: Decoder, monkeypatch: pytest.MonkeyPatch, pool: dict[str, int]) -> None:
    monkeypatch.setattr(paged_cache, "cache_form", lambda config: ACCELERATOR)
    assert written(model, **pool) == [naive(model, prompt) for prompt in PROMPTS]


def test_one_row_and_one_block(model: Decoder) -> None:
    assert written(model, batch_size=1, cache_block=64) == [naive(model, prompt) for prompt in PROMPTS]


def test_a_full_pool_sets_answers_aside_and_loses_nothing(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    asides = []
    copy_out = continuous.copy_out
    monkeypatch.setattr(continuous, "copy_out", lambda *given: asides.append(1) or copy_out(*given))
    monkeypatch.setattr(continuous, "STEPS", 4)
    expected = [naive(model, prompt) for prompt in PROMPTS]
    assert written(model, batch_size=5, cache_block=4) == expected
    assert not asides
    # Room for one answer of the greatest length: five cannot stand in it at once.
    assert written(model, batch_size=5, cache_block=4, cache_tokens=24) == expected
    assert asides


def test_a_cache_without_room_for_the_longest_answer_is_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match=r"cache_tokens \(16\) has no room for .* 21 tokens .* at least 24"):
        written(model, cache_tokens=16)


def test_a_long_answer_holds_one_row(model: Decoder) -> None:
    """With all logits equal an answer ends with each token by chance 1/8: most are short, a few long."""
    flat = Decoder(model.config, jax.tree.map(jnp.zeros_like, model.weights))
    steps, ended = [], []

    def report(answers: int, tokens: int, made: int) -> None:
        ended.append(answers)
        steps.append(made)

    rows, options = 4, SamplingOptions(max_new_tokens=60, temperature=1.0, batch_size=4, cache_block=8, samples=6)
    found = [len(answer.tokens) for answer in answers(flat, [[3, 4]] * 5, options, stop_tokens=range(4), report=report)]
    assert sum(ended) == len(found) == 30
    # Each answer's first token comes from its prompt, not from a step.
    needed = np.array(found) - 1
    # Where no row waits while there is work, Graham's bound for scheduling in any order holds (1966).
    assert max(needed) <= sum(steps) <= sum(needed) / rows + max(needed) * (1 - 1 / rows)
    # Batches that wait for their longest answer, put together blindly.
    shuffled = np.random.default_rng(0).permutation(needed)
    batched = sum(max(shuffled[start : start + rows]) for start in range(0, len(shuffled), rows))
    assert max(needed) > 2 * np.mean(needed) and sum(steps) < 0.75 * batched


def test_an_answer_does_not_depend_on_what_else_is_written(model: Decoder) -> None:
    options = SamplingOptions(max_new_tokens=NEW, temperature=1.0, batch_size=3, cache_block=8, samples=3, seed=7)
    whole = {answer[:2]: answer for answer in answers(model, PROMPTS, options, stop_tokens=STOPS)}
    assert sorted(whole) == [(place, sample) for place in range(5) for sample in range(3)]
    assert len({tuple(whole[0, sample].tokens) for sample in range(3)}) == 3
    some = {(0, 1), (3, 0), (4, 2), (2, 2)}
    rest = answers(model, PROMPTS, options, stop_tokens=STOPS, done=whole.keys() - some)
    assert {answer[:2]: answer for answer in rest} == {key: whole[key] for key in some}
    once = answers(model, PROMPTS[::-1], dataclasses.replace(options, samples=1), stop_tokens=STOPS, ids=range(5)[::-1])
    assert {4 - answer.place: answer.tokens for answer in once} == {n: whole[n, 0].tokens for n in range(5)}
    for answer in whole.values():
        assert answer.finished == (answer.tokens[-1] in STOPS)


def test_stop_strings_end_answers_between_two_tokens(model: Decoder) -> None:
    class Letters:
        """Token n is the n-th letter of an alphabet of 32."""

        def decode(self, tokens: list[int], **_: bool) -> str:
            return "".join(chr(ord("@") + token) for token in tokens)

    free = written(model)
    longest = max(free, key=len)
    string = Letters().decode(longest[3:5])
    options = SamplingOptions(NEW, batch_size=2, cache_block=8, stop_strings=(string,))
    found = sorted(answers(model, PROMPTS, options, stop_tokens=STOPS, tokenizer=Letters()))
    for answer, whole in zip(found, free, strict=True):
        text = Letters().decode(whole)
        end = text.index(string) + len(string) if string in text else NEW
        assert (answer.tokens, answer.finished) == (whole[:end], string in text or whole[-1] in STOPS)
    assert 0 < sum(a.tokens != whole for a, whole in zip(found, free, strict=True)) < len(free)
    with pytest.raises(ValueError, match="pass the tokenizer"):
        answers(model, PROMPTS, options, stop_tokens=STOPS)


@pytest.mark.slow
def test_a_model_over_a_mesh_writes_the_same(model: Decoder) -> None:
    mesh = make_mesh(tensor=2)
    specs = parameter_specs(model.config)
    where = nest({path: sharding_of(spec.shape, spec.axes, mesh) for path, spec in specs.items()})
    spread = Decoder(model.config, jax.tree.map(jax.device_put, dict(model.weights), where))
    assert written(spread) == written(model)


def test_transformers_generates_the_same(model: Decoder, tmp_path) -> None:
    torch = pytest.importorskip("torch", reason="torch is installed on Python 3.11 alone (requirements/dev.txt)")
    transformers = pytest.importorskip("transformers")
    from jaxeap.models.save import save_model
    from jaxeap.tasks.tokenizer import arithmetic_tokenizer

    save_model(model, tmp_path, arithmetic_tokenizer())
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    found = written(model)
    assert len({len(answer) for answer in found}) > 1
    for prompt, answer in zip(PROMPTS, found, strict=True):
        tokens = torch.tensor([prompt])
        options = dict(do_sample=False, max_new_tokens=NEW, eos_token_id=list(STOPS), pad_token_id=0)
        with torch.no_grad():
            whole = other.generate(tokens, attention_mask=torch.ones_like(tokens), **options)
        assert whole[0, len(prompt) :].tolist() == answer
