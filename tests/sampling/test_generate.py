"""Generation of lists: order, independence of the batch, determinism, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.sampling.generate import generate

PROMPTS = [
    [int(token) for token in np.random.default_rng(length).integers(0, 32, length)] for length in (3, 5, 1, 5, 3, 5, 5)
]
OPTIONS = dict(max_new_tokens=6, stop_tokens=(4, 5, 6))


def test_greedy_answers_equal_full_prefix_decoding_in_the_order_given(model: Decoder, next_logits) -> None:
    answers = generate(model, PROMPTS, batch_size=3, **OPTIONS)
    lengths = set()
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        expected: list[int] = []
        while len(expected) < 6 and not set(expected) & {4, 5, 6}:
            expected.append(int(next_logits(prompt + expected).argmax()))
        assert answer == expected
        lengths.add(len(answer))
    assert len(lengths) > 1


def test_draws_do_not_depend_on_batch_size_or_company(model: Decoder) -> None:
    whole = generate(model, PROMPTS, temperature=1.0, seed=1, **OPTIONS)
    assert generate(model, PROMPTS, temperature=1.0, seed=1, batch_size=2, **OPTIONS) == whole
    some = [5, 0, 2]
    alone = generate(model, [PROMPTS[place] for place in some], ids=some, temperature=1.0, seed=1, **OPTIONS)
    assert alone == [whole[place] for place in some]


def test_equal_prompts_are_drawn_apart_and_the_seed_decides(model: Decoder) -> None:
    prompts = [[3, 4, 5]] * 20
    draw = [generate(model, prompts, temperature=1.0, seed=seed, **OPTIONS) for seed in (0, 0, 1)]
    assert draw[0] == draw[1] != draw[2]
    assert len({tuple(answer) for answer in draw[0]}) > 10
    # Greedy has nothing to draw.
    greedy = [generate(model, prompts, seed=seed, **OPTIONS) for seed in (0, 1)]
    assert greedy[0] == greedy[1] and len({tuple(answer) for answer in greedy[0]}) == 1


def test_nothing_to_answer(model: Decoder) -> None:
    assert generate(model, [], **OPTIONS) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(prompts=[[1], []]), "prompt 1 is empty"),
        (dict(prompts=[[1], [2, 32]]), "prompt 1 holds token 32"),
        (dict(prompts=[[-1]]), "prompt 0 holds token -1"),
        (dict(stop_tokens=(32,)), "stop token 32"),
        (dict(max_new_tokens=0), "max_new_tokens"),
        (dict(batch_size=0), "batch_size"),
        (dict(temperature=-0.5), "temperature"),
        (dict(temperature=float("nan")), "temperature"),
        (dict(ids=[0, 1]), "ids"),
        (dict(ids=[-1]), "ids"),
    ],
)
def test_bad_input_is_named(model: Decoder, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(model, **({"prompts": [[1]], **OPTIONS} | changes))


def test_weights_that_are_not_numbers_are_not_answered_with(model: Decoder) -> None:
    broken = Decoder(model.config, jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), model.weights))
    with pytest.raises(ValueError, match="not finite"):
        generate(broken, [[1]], **OPTIONS)


def test_half_precision_gives_answers(model: Decoder) -> None:
    half = Decoder(model.config, jax.tree.map(lambda x: x.astype(jnp.bfloat16), model.weights))
    answers = generate(half, PROMPTS, temperature=1.0, batch_size=4, **OPTIONS)
    assert all(1 <= len(answer) <= 6 for answer in answers)
