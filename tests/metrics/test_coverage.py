"""Do intervals and p-values keep their promise? Simulated pairs of models with a known difference, and with none."""

import functools

import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.compare import compare
from jaxeap.metrics.contrast import contrast
from jaxeap.metrics.diversity import correlation_matrix, diversity, standardised, stream_correlations
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.measures import measures
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.paired import PairedStatistics
from jaxeap.metrics.stream import ScoreStream

MEASURES = {measure.name: measure for measure in measures(MetricOptions(), 1.0)}
QUESTIONS = 100


def skewed_means(generator: np.random.Generator) -> tuple[PairedStatistics, float]:
    """Intensities: some questions stir both models more, and each model by chance of its own."""
    hardness = generator.lognormal(0, 0.4, QUESTIONS)
    base = hardness * generator.lognormal(0, 0.3, QUESTIONS)
    tuned = 1.19 * hardness * generator.lognormal(0, 0.3, QUESTIONS)
    truth = 0.19 * np.exp(0.4**2 / 2 + 0.3**2 / 2)
    return PairedStatistics.of(MEASURES["intensity"], base, tuned), truth


def medians(generator: np.random.Generator) -> tuple[PairedStatistics, float]:
    base = 3 + generator.standard_t(2, QUESTIONS)
    return PairedStatistics.of(MEASURES["tail_index"], base, base + 0.5 + generator.normal(0, 1, QUESTIONS)), 0.5


def entropies(generator: np.random.Generator) -> tuple[PairedStatistics, float]:
    """Pooled histograms of 400 entries a question, every question with shares of its own."""
    shares = np.array([[0.7, 0.2, 0.06, 0.03, 0.01], [0.6, 0.2, 0.1, 0.06, 0.04]])
    counts = [
        np.stack([generator.multinomial(400, row) for row in generator.dirichlet(40 * model, QUESTIONS)])
        for model in shares
    ]
    pair = PairedStatistics.of(MEASURES["complexity"], *(c.astype(float) for c in counts))
    return pair, stats.entropy(shares[1]) - stats.entropy(shares[0])


ENTRIES = 60
SHARED = np.random.default_rng(99).standard_normal(ENTRIES)


def question_scores(generator: np.random.Generator, count: int) -> list[np.ndarray]:
    """What all questions share weighs less in tuned than in base; how much differs from question to question."""
    own = generator.standard_normal((2, count, ENTRIES))
    weight = generator.uniform(0.5, 1.5, (2, count, 1))
    return [(w * share * SHARED + noise)[:, None] for share, w, noise in zip((1.0, 0.7), weight, own, strict=True)]


def diversities(generator: np.random.Generator) -> tuple[PairedStatistics, float]:
    mask = np.ones((1, ENTRIES), bool)
    base, tuned = (ScoreStream.of(scores) for scores in question_scores(generator, QUESTIONS))

    def correlations(*streams):
        other = streams[1] if len(streams) > 1 else None
        return stream_correlations(streams[0], lambda s: standardised(s, mask), ENTRIES, other=other)

    pair = PairedStatistics.of(
        MEASURES["diversity"], correlations(base), correlations(tuned), correlations(tuned, base)
    )
    return pair, true_diversity_difference()


@functools.cache
def true_diversity_difference() -> float:
    """Of 3000 questions, which is as good as known: its error is a sixth of what an interval of 100 has to cover."""
    mask = np.ones((1, ENTRIES), bool)
    base, tuned = (
        diversity(correlation_matrix(scores, mask), np.ones((1, 3000)))[0]
        for scores in question_scores(np.random.default_rng(123), 3000)
    )
    return tuned - base


def coverage(simulate, simulations: int, resamples: int) -> int:
    covered = 0
    for number in range(simulations):
        pair, truth = simulate(np.random.default_rng(number))
        # resamples drawn from the very bits that made the data would depend on them
        (row,) = compare([pair], InferenceOptions(resamples=resamples, seed=number + 10**6, permutations=0))
        assert row.interval is not None and row.method == ("percentile" if simulate is medians else "bca")
        covered += row.interval[0] <= truth <= row.interval[1]
    return covered


def test_intervals_cover_the_known_difference():
    covered = coverage(skewed_means, 300, 600)
    # what 300 draws of a coverage between 93% and 97% can give
    assert stats.binom.ppf(0.001, 300, 0.93) <= covered <= stats.binom.ppf(0.999, 300, 0.97)


@pytest.mark.slow
@pytest.mark.parametrize("simulate", [skewed_means, medians, entropies, diversities])
def test_intervals_cover_93_to_97_percent_in_2000_simulations(simulate):
    assert 0.93 <= coverage(simulate, 2000, 1000) / 2000 <= 0.97


def test_under_the_null_p_values_are_uniform():
    """Both models' answers to a question are of one distribution, which differs from question to question."""
    mask = np.ones((1, 24), bool)
    p_values: dict[str, list[float]] = {}
    for number in range(150):
        generator = np.random.default_rng(number)
        hardness = generator.lognormal(0, 0.5, (24, 1, 1))
        shared = generator.standard_normal((24, 1, 24))
        base, tuned = (hardness * (shared + generator.standard_t(4, (24, 1, 24))) for _ in range(2))
        for row in contrast(base, tuned, mask, resamples=1, seed=number + 10**6, permutations=199).metrics:
            p_values.setdefault(row.name, []).append(row.p_value)
    for name, values in p_values.items():
        # they are multiples of 1 / 200: the middle of a step is what is uniform
        assert stats.kstest(np.array(values) - 1 / 400, "uniform").pvalue > 0.005, name


@pytest.mark.parametrize(("scatter", "power"), [(0.3, 0.95), (0.47, 0.6)])
def test_an_effect_of_the_papers_size_is_found_with_100_questions(scatter, power):
    """Intensity +19% (GRPO in arXiv 2509.21044), where a question's own ratio scatters by a factor of 1.35 or 1.6."""
    found, simulations = 0, 100
    mask = np.ones((20, 30), bool)
    for number in range(simulations):
        generator = np.random.default_rng(number)
        strength = generator.lognormal(0, 1, mask.shape) * generator.standard_t(3, (100, *mask.shape)).astype(
            np.float32
        )
        base = generator.lognormal(0, 0.6, (100, 1, 1)) * strength
        ratio = 1.19 * generator.lognormal(-(scatter**2) / 2, scatter, (100, 1, 1))
        tuned = ratio * generator.permuted(base.reshape(100, -1), axis=1).reshape(base.shape)
        both = (MEASURES["intensity"].per_example(scores, mask) for scores in (base, tuned))
        pair = PairedStatistics.of(MEASURES["intensity"], *both)
        (row,) = compare([pair], InferenceOptions(resamples=300, permutations=400, seed=number + 10**6))
        found += row.interval[0] > 0 and row.p_value < 0.05
    assert found / simulations >= power
