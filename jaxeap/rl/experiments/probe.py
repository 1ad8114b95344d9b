"""One model measured: its accuracy, the entropy of its policy, its divergence from another model, and how far the
weights are from that one's."""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import unembed
from jaxeap.models.load import load_model
from jaxeap.models.parameters import Weights
from jaxeap.pipeline.inputs.questions import choose_questions
from jaxeap.rl.answered import Answered, answer_residuals
from jaxeap.rl.evaluate import measure_accuracy
from jaxeap.rl.rollouts import roll_out
from jaxeap.sampling.batching import pad_right
from jaxeap.sampling.respond import require_eos
from jaxeap.tasks.lab_tasks import LAB_TASKS
from jaxeap.tasks.tokenizer import encode_prompt, load_tokenizer
from jaxeap.weights import contrast_weights


def probe_model(model: Path, base: Path, questions: str, num_questions: int) -> dict[str, float]:
    """Measures a model on questions of a lab task.

    Args:
      model: its folder.
      base: of the model that it is held against.
      questions: as `config.questions` of run.py, "arithmetic:test" for one.
      num_questions: how many are asked, drawn with seed 1 (contrasts draw with 0 unless told).

    Returns:
      greedy_accuracy, sampled_accuracy: shares of right answers, at temperature 0 and 1.
      entropy: mean entropy of the next token, in nats, over all tokens of answers sampled at temperature 1.
      divergence: mean KL(model || base) of the next token there, in nats; summed over an answer and averaged, it is the
        divergence between the two models' answers.
      moved_share: share of the weights that moved by more than 1e-5 from the base's (arXiv 2505.11711).
      relative_distance: norm of the weights' difference over the norm of the base's.
    """
    trained, other, tokenizer = load_model(model), load_model(base), load_tokenizer(model)
    task = LAB_TASKS[questions.partition(":")[0]]
    asked = choose_questions(questions, (), num_questions, 1)
    limit = task.max_answer_tokens
    greedy, sampled = (
        measure_accuracy(
            trained, tokenizer, asked, max_new_tokens=limit, temperature=temperature, grader=task.grader
        ).overall
        for temperature in (0.0, 1.0)
    )
    prompts = [encode_prompt(tokenizer, question.question) for question in asked]
    padded, lengths = pad_right(prompts, max(map(len, prompts)), len(prompts))
    drawn = roll_out(
        trained.weights,
        trained.config,
        padded,
        lengths,
        jax.random.key(0),
        answers_each=1,
        max_new_tokens=limit,
        stop_tokens=(require_eos(tokenizer),),
        temperature=1.0,
    )
    entropy, divergence = entropy_and_divergence(trained.weights, other.weights, trained.config, drawn.answered)
    moved = contrast_weights(base, model).total
    return {
        "greedy_accuracy": greedy,
        "sampled_accuracy": sampled,
        "entropy": float(entropy),
        "divergence": float(divergence),
        "moved_share": moved.tolerance_share,
        "relative_distance": float(moved.relative_norm or 0.0),
    }


@functools.partial(jax.jit, static_argnames="config")
def entropy_and_divergence(
    weights: Weights, base: Weights, config: ModelConfig, answered: Answered
) -> tuple[jax.Array, jax.Array]:
    """Entropy of the model's next token and KL(model || base), whole distributions, mean over the answers' tokens."""
    log_p, log_q = (
        jax.nn.log_softmax(unembed(each, config, answer_residuals(each, config, answered)), axis=-1)
        for each in (weights, base)
    )
    mask = jnp.asarray(answered.mask, log_p.dtype)

    def mean(per_token: jax.Array) -> jax.Array:
        return jnp.sum(per_token * mask) / jnp.sum(mask)

    p = jnp.exp(log_p)
    return mean(-jnp.sum(p * log_p, axis=-1)), mean(jnp.sum(p * (log_p - log_q), axis=-1))
