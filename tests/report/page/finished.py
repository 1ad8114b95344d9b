"""Finished results in the layout of the work directory, made by hand: what the page is built from."""

from collections.abc import Callable

import numpy as np

from jaxeap.metrics import contrast, layer_intensity
from jaxeap.metrics.layer_intensity import destination_groups
from jaxeap.report.page import Content, Models, Questions, ScoredEdges
from jaxeap.report.table import notes

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> & \u2028"
"""What a question must not be able to do."""

OPPOSITE = "levels of difficulty move in opposite directions (+110% on 9 questions (easy))"
LEVELS = {
    "intensity": {"sure": True, "text": f"{OPPOSITE} {HOSTILE}"},
    "complexity": {"sure": False, "text": "the levels' changes differ in sign"},
}
NAMES = ("intensity", "complexity", "kurtosis", "diversity")


def block_graph(layers: int) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    sources, written = ["embed"], [0]
    destinations, read = [], []
    for layer in range(layers):
        sources += [f"a{layer}", f"m{layer}"]
        written += [2 * layer + 1, 2 * layer + 2]
        destinations += [f"a{layer}<q>", f"a{layer}<k>", f"a{layer}<v>", f"m{layer}"]
        read += [2 * layer + 1] * 3 + [2 * layer + 2]
    mask = np.array(written)[:, None] < np.array([*read, 2 * layers + 1])
    return tuple(sources), (*destinations, "logits"), mask


def head_graph(layers: int, heads: int, kv_heads: int) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    sources, written = ["embed"], [0]
    destinations, read = [], []
    for layer in range(layers):
        sources += [*(f"a{layer}.h{head}" for head in range(heads)), f"m{layer}"]
        written += [2 * layer + 1] * heads + [2 * layer + 2]
        destinations += [f"a{layer}.h{head}<q>" for head in range(heads)]
        destinations += [f"a{layer}.kv{head}<{kind}>" for kind in "kv" for head in range(kv_heads)]
        destinations.append(f"m{layer}")
        read += [2 * layer + 1] * (heads + 2 * kv_heads) + [2 * layer + 2]
    mask = np.array(written)[:, None] < np.array([*read, 2 * layers + 1])
    return tuple(sources), (*destinations, "logits"), mask


def scored_edges(level: str, graph: tuple, base: np.ndarray, tuned: np.ndarray) -> ScoredEdges:
    """Means of |score| and intervals of their paired difference, as if questions were normal."""
    sources, destinations, mask = graph
    difference = np.abs(tuned).astype(float) - np.abs(base)
    middle, spread = difference.mean(axis=0), 1.96 * difference.std(axis=0) / np.sqrt(len(base))
    values = {
        "base": np.abs(base).mean(axis=0), "tuned": np.abs(tuned).mean(axis=0), "difference": middle,
        "base_signed": base.mean(axis=0), "tuned_signed": tuned.mean(axis=0),
        "low": middle - spread, "high": middle + spread, "q_value": np.clip(spread / (np.abs(middle) + 1e-12), 0, 1),
    }  # fmt: skip
    values = {name: np.where(mask, value, np.nan).astype(np.float32) for name, value in values.items()}
    return ScoredEdges(level, sources, destinations, mask, values)


def random_scores(mask: np.ndarray, examples: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Heavy-tailed scores of base, and of tuned that is base with a tenth of the edges doubled, and noise."""
    generator = np.random.default_rng(0)
    strength = 0.003 * generator.lognormal(sigma=1.3, size=mask.shape)
    base = strength * generator.standard_t(4, size=(examples, *mask.shape)) * mask
    stronger = np.where(generator.random(mask.shape) < 0.25, 2.5, 1.0)
    tuned = base * stronger * (1 + 0.2 * generator.standard_normal(base.shape))
    return base.astype(np.float32), tuned.astype(np.float32)


def finished_content(base: np.ndarray, tuned: np.ndarray, graph: tuple, level: str = "block") -> Content:
    _, destinations, mask = graph
    number = len(base)
    compared = contrast(base, tuned, mask, resamples=200)
    layers = layer_intensity(base, tuned, mask, destinations, resamples=200)
    metrics = compared.to_json()
    for place, row in enumerate(metrics["metrics"].values()):
        row |= {"p_value": (0.00003, 0.04, 0.4)[place % 3], "effect_size": 0.3}
    rows = {name: metrics["metrics"][name] for name in NAMES}
    ids = tuple(f"q{place}" for place in range(number))

    def shards(scores: np.ndarray) -> Callable:
        return lambda: iter([(ids[:5], scores[:5]), (ids[5:], scores[5:])])

    def part(value: float) -> dict:
        return {"value": value, "interval": {"low": value - 0.001, "high": value + 0.001}}

    verdicts = [
        {"claim": f"{name} {'down' if name == 'kurtosis' else 'up'}", "metric": name, "direction": 1,
         "verdict": verdict, "interval": rows[name]["interval"], "reasons": ["the interval holds 0"],
         "levels": LEVELS.get(name),
         "controls": [{"name": "null by splitting", "agrees": agrees, "detail": "as halves do"}]}
        for name, verdict, agrees in zip(NAMES, ("supported", "undecided", "not supported", "undecided"),
                                         (True, False, None, True), strict=True)
    ]  # fmt: skip
    plain_rows = [row | {"metric": name, "title": row["title"]} for name, row in rows.items()]
    groups = [*destination_groups(destinations)]
    return Content(
        models=Models("tiny/base", "tiny/<b>grpo</b>"),
        metrics={
            "answers": {"questions": 40, "accuracy": {"base": 0.6, "tuned": 0.98}},
            "contrast": metrics,
            "layer_intensity": [layer.to_json() for layer in layers],
            "breakdowns": {
                "layer": [row | {"member": group, "q_value": 0.03} for group in groups for row in plain_rows],
                "difficulty": [row | {"member": HOSTILE, "q_value": None} for row in plain_rows]
                + [row | {"member": "hard", "q_value": 0.5} for row in plain_rows],
            },
            "enough_questions": {
                name: {"examples": [8, 16, 24], "width": [0.4, 0.28, 0.2], "needed": 99} for name in NAMES
            },
        },
        choices=notes(compared),
        edges=scored_edges(level, graph, base, tuned),
        questions=Questions(ids, (HOSTILE, *(f"{place}+1=" for place in range(1, number))), ("easy",) * number,
                            shards(base), shards(tuned)),
        controls={
            "bootstrap": {"resamples": 2000, "method": "bca"},
            "headline_bootstrap": {"resamples": 200, "method": "bca"},
            "two_by_two": [
                {"metric": name, "title": rows[name]["title"], "examples": number,
                 "cells": dict.fromkeys(("base_on_base", "base_on_tuned", "tuned_on_base", "tuned_on_tuned"), 0.1),
                 "raw": part(0.003), "model": part(0.002), "text": part(0.001), "interaction": part(0.0)}
                for name in NAMES
            ],
            "normalised": [plain_rows[0] | {"metric": "intensity_by_loss", "title": "Intensity by loss"}],
            "null_split": [
                {"metric": name, "low": -0.001, "high": 0.001, "observed": 0.0005, "share_beyond": 0.4, "splits": 100,
                 "from": "base"}
                for name in NAMES
            ],
            "sensitivity": [
                {"setting": "metrics.bins", "value": value, "default": value == 100, "rows": [plain_rows[1]]}
                for value in (50, 100, 200)
            ],
            "divergence": {"base_text": part(0.1), "tuned_text": part(0.2)},
            "null_pair": None,
            "weights_changed": 0.97,
            "verdicts": verdicts,
        },
        audit={"models": {role: {"pearson": 0.5, "spearman": 0.6, "slope": 1.1, "median_relative_error": 0.4,
                                 "edges": 2, "examples": 8, "ablation": "zero", "method": "eap",
                                 "intervals": dict.fromkeys(("pearson", "spearman", "slope")),
                                 "points": [[0.01, 0.02], [-0.01, 0.0]]}
                          for role in ("base", "tuned")}},
        circuits={
            "graph": {"level": level, "edges": int(mask.sum())},
            "matched_faithfulness": [
                {"target": 0.8, "base": {"edges": 12}, "tuned": {"edges": int(mask.sum())}, "appear": 34, "vanish": 0,
                 "jaccard": 0.26},
                {"target": 0.5, "base": {"edges": 12}, "tuned": {"edges": 15}, "appear": 5, "vanish": 2,
                 "jaccard": 0.59},
                {"target": 0.9, "base": None, "tuned": None},
            ],
            "matched_size": [
                {"edges": size, "base": {"faithfulness": 0.5}, "tuned": {"faithfulness": None}, "appear": 1,
                 "vanish": 1, "strengthen": 2, "weaken": 1, "kept": size - 1, "jaccard": 0.6, "weighted_overlap": 0.5,
                 "rank_correlation": None, "chance": 0.1,
                 "halves": {"within_base": 0.8, "within_tuned": 0.7, "between": 0.6 + size / 40}}
                for size in (4, 8)
            ],
            "layer_flow": [
                {"layer": layer,
                 "into": {"all": {"base": 0.1, "tuned": 0.2, "difference": 0.1, "interval": [0.05, 0.15]}}}
                for layer in groups
            ],
            "cross_evaluation": [{"circuit_of": "base", "model": "tuned", "edges": 4, "faithfulness": 0.4}],
            "changes": {},
        },
        correlates={
            "associations": [{"role": "base", "statistic": "diversity", "covariate": "correct", "spearman": 0.3,
                              "interval": {"low": 0.1, "high": 0.5}, "examples": 40}],
            "logistic": [{"role": "tuned", "term": "loss", "coefficient": -1.5, "interval": None}],
            "classes": {"both_right": 24, "both_wrong": 16},
        },
        weights={"tensors": [{"name": f"layers.{layer}.w", "layer": layer, "entries": 10, "changed": 9,
                              "squared_norms": [4.0, 4.0, 0.01], "dtype": "float32"} for layer in (None, 0, 1)]},
        settings={"attribution.method": "eap", "attribution.ablation": "zero", "base": "ab" * 32},
        stages=[{"stage": "attribute", "seconds": 61.0, "files": 4, "fingerprint": "cd" * 32}],
        environment={"jax": "0.10.1", "machine": HOSTILE},
    )  # fmt: skip
