"""The circuits stage against its definitions: from the scores on disk, and by running circuits directly."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import jaxeap
from jaxeap.pipeline import run_pipeline
from jaxeap.pipeline.scoring.scores import read_scores
from jaxeap.pipeline.stages.circuits import asked_sizes, circuits_of, shown_circuits_of, shown_size
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_tensors
from tests.pipeline.conftest import cheap

ROLES = ("base", "tuned")


@pytest.fixture(autouse=True)
def cheap_runs(config, no_figures):
    cheap(config)


@pytest.fixture(scope="module")
def finished(finished_run):
    return finished_run


@pytest.fixture(scope="module")
def scores(finished):
    """[N, S, J] float64 by model."""
    ids = selection_of(finished / "select").question_ids
    return {
        role: read_scores(finished / "attribute" / f"{role}_on_{role}_text", ids).scores.astype(np.float64)
        for role in ROLES
    }


def strongest(strength: np.ndarray, mask: np.ndarray, size: int) -> set[tuple[int, int]]:
    places = sorted(map(tuple, np.argwhere(mask).tolist()), key=lambda place: -strength[place])
    return set(places[:size])


def test_circuits_are_the_strongest_edges_and_every_number_follows(config, scores, finished):
    found = circuits_of(finished / "circuits")
    graph = jaxeap.EdgeGraph.for_config(jaxeap.load_model(config.base).config)
    strength = {role: np.abs(scores[role].mean(axis=0)) for role in ROLES}
    assert found["graph"] == {"level": "block", "edges": graph.num_edges}
    sizes = [row["edges"] for row in found["matched_size"]]
    assert sizes == [2, 6, 12] == sorted({round(0.1 * graph.num_edges), 6, round(0.5 * graph.num_edges)})
    tensors, metadata = read_tensors(finished / "circuits" / "circuits.safetensors")
    assert metadata["shown"] == found["shown"] == 12
    for row in found["matched_size"]:
        base, tuned = (strongest(strength[role], graph.mask, row["edges"]) for role in ROLES)
        assert {tuple(place) for place in np.argwhere(tensors[f"base_{row['edges']}"])} == base
        assert row["base"]["edges"] == row["tuned"]["edges"] == row["edges"]
        assert (row["kept"], row["appear"], row["vanish"]) == (len(base & tuned), len(tuned - base), len(base - tuned))
        assert row["strengthen"] == sum(strength["tuned"][place] > strength["base"][place] for place in base & tuned)
        assert row["jaccard"] == pytest.approx(len(base & tuned) / len(base | tuned))
        assert row["base"]["nodes"] == len({source for source, _ in base})
        circuit = jaxeap.Circuit.of(tensors[f"tuned_{row['edges']}"], graph)
        assert row["tuned"]["connected"] == jaxeap.attribution.circuits.prune(circuit).kept
    np.testing.assert_allclose(
        found["rank_correlation"],
        scipy.stats.spearmanr(strength["base"][graph.mask], strength["tuned"][graph.mask]).statistic,
    )
    base, tuned = (strongest(strength[role], graph.mask, 12) for role in ROLES)
    appeared = {(edge["source"], edge["destination"]) for edge in found["changes"]["appear"]}
    assert appeared == {(graph.sources[row], graph.destinations[column]) for row, column in tuned - base}
    listed = [edge for edges in found["changes"].values() for edge in edges]
    assert len(listed) == len(base | tuned)
    for edge in listed:
        place = graph.edge_index(edge["source"], edge["destination"])
        np.testing.assert_allclose([edge[role] for role in ROLES], [strength[role][place] for role in ROLES])


def test_faithfulness_is_that_of_the_circuits_run_directly_in_either_model(config, scores, finished):
    workdir = finished
    found = circuits_of(workdir / "circuits")
    tensors, _ = read_tensors(workdir / "circuits" / "circuits.safetensors")
    selection = selection_of(workdir / "select")
    for model_of in ROLES:
        model = jaxeap.load_model(config[model_of])
        graph = jaxeap.EdgeGraph.for_config(model.config)
        batch = jaxeap.Batch.from_sequences(selection.sequences(model_of)[:5], selection.counted(model_of)[:5])
        for circuit_of in ROLES:
            circuit = jaxeap.Circuit.of(tensors[f"{circuit_of}_6"], graph)
            direct = jaxeap.faithfulness(model, batch, circuit)
            (row,) = [
                row
                for row in found["cross_evaluation"]
                if (row["circuit_of"], row["model"], row["edges"]) == (circuit_of, model_of, 6)
            ]
            np.testing.assert_allclose(row["faithfulness"], direct.overall[0], rtol=1e-4, atol=1e-5)
            low, high = row["interval"]
            assert low <= row["faithfulness"] <= high
            if circuit_of == model_of:
                assert found["matched_size"][1][model_of]["faithfulness"] == row["faithfulness"]
        np.testing.assert_allclose(found["losses"][model_of]["whole"], direct.full.mean(), rtol=1e-5)
    whole = [row for row in found["cross_evaluation"] if row["edges"] == graph.num_edges]
    assert len(whole) == 4 and all((row["faithfulness"], row["interval"]) == (1.0, [1.0, 1.0]) for row in whole)


def test_matched_circuits_are_the_smallest_that_stay_faithful(scores, finished):
    found = circuits_of(finished / "circuits")
    assert [row["target"] for row in found["matched_faithfulness"]] == [0.5, 0.8, 0.9]
    for row in found["matched_faithfulness"]:
        for role in ROLES:
            own = {
                each["edges"]: each["faithfulness"]
                for each in found["cross_evaluation"]
                if each["circuit_of"] == each["model"] == role
            }
            enough = [n for n in own if all(value >= row["target"] for size, value in own.items() if size >= n)]
            assert row[role]["edges"] == min(enough)


def test_halves_are_circuits_of_the_halves_of_the_questions(scores, finished):
    (row,) = [row for row in circuits_of(finished / "circuits")["matched_size"] if row["edges"] == 6]
    assert row["halves"]["splits"] == 4
    mask = scores["base"].any(axis=0) | scores["tuned"].any(axis=0)
    folds = np.random.default_rng(0).permutation(11) % 8
    splits = list(itertools.combinations(range(1, 8), 3))[::9]  # 35 with fold 0 in the first half; every ninth makes 4

    def circuit(role, questions):
        return strongest(np.abs(scores[role][questions].mean(axis=0)), mask, 6)

    def index(one, other):
        return len(one & other) / len(one | other)

    found = {"within_base": [], "within_tuned": [], "between": []}
    for others in splits:
        first = np.isin(folds, (0, *others))
        base, other_base = circuit("base", first), circuit("base", ~first)
        tuned, other_tuned = circuit("tuned", first), circuit("tuned", ~first)
        found["within_base"].append(index(base, other_base))
        found["within_tuned"].append(index(tuned, other_tuned))
        found["between"] += [index(base, other_tuned), index(other_base, tuned)]
    for name, values in found.items():
        assert row["halves"][name] == pytest.approx(np.mean(values)), name


def test_same_model_twice_has_one_circuit(config, console, tmp_path):
    config.tuned = config.base
    run_pipeline(config, tmp_path, console)
    found = circuits_of(tmp_path / "circuits")
    for row in (*found["matched_size"], *found["matched_faithfulness"]):
        assert (row["jaccard"], row["weighted_overlap"], row["pattern_overlap"]) == (1.0, 1.0, 1.0)
        assert row["appear"] == row["vanish"] == row["strengthen"] == row["weaken"] == 0
        assert row["base"] == row["tuned"]
        assert row["nodes"]["unchanged"] == row["base"]["nodes"]
    assert found["rank_correlation"] == pytest.approx(1.0)
    for row in found["layer_flow"]:
        assert (row["difference"], row["interval"]) == (0.0, [0.0, 0.0])
    for row in found["matched_size"]:
        assert row["halves"]["within_base"] == row["halves"]["within_tuned"]


def test_layer_flow_adds_up_to_the_intensity(scores, finished):
    rows = circuits_of(finished / "circuits")["layer_flow"]
    assert [row["layer"] for row in rows] == ["embed", "0", "1", "logits"]
    for role in ROLES:
        total = np.abs(scores[role]).sum(axis=(1, 2)).mean()
        np.testing.assert_allclose(sum(row[role] for row in rows[1:]), total, rtol=1e-6)
        np.testing.assert_allclose(sum(row["out_of"]["all"][role] for row in rows[:3]), total, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("ablation", ["mean", pytest.param("resample", marks=pytest.mark.slow)])
def test_circuits_are_run_under_the_ablation_of_the_scores(ablation, config, console, tmp_path):
    config.attribution.ablation = ablation
    config.circuits.sizes = (6,)
    run_pipeline(config, tmp_path, console)
    found = circuits_of(tmp_path / "circuits")
    assert found["ablation"] == ablation
    whole = [row["faithfulness"] for row in found["cross_evaluation"] if row["edges"] == found["graph"]["edges"]]
    assert whole == [1.0] * 4


@pytest.mark.slow
def test_interrupted_between_the_models_it_goes_on_and_ends_with_the_same_bytes(config, console, tmp_path, monkeypatch):
    run_pipeline(config, tmp_path / "whole", console)
    target = "jaxeap.pipeline.stages.circuit_faithfulness.faithfulness"
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return jaxeap.faithfulness(*arguments)

    monkeypatch.setattr(target, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(config, tmp_path / "resumed", console)
    run_pipeline(config, tmp_path / "resumed", console)
    assert len(calls) == 3, "the first model's circuits were run again"
    for name in ("circuits.json", "circuits.safetensors", "faithfulness_base.safetensors"):
        assert files(tmp_path / "resumed", name) == files(tmp_path / "whole", name)


def files(workdir: Path, name: str) -> bytes:
    return (workdir / "circuits" / name).read_bytes()


def test_switched_off_it_runs_no_circuit_and_leaves_nothing(config, console, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxeap.pipeline.stages.circuit_faithfulness.faithfulness", None)
    config.circuits.sizes = ()
    config.exports.edges = False
    run_pipeline(config, tmp_path, console)
    assert circuits_of(tmp_path / "circuits") is None
    assert shown_circuits_of(tmp_path / "circuits") is None
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["stage.json"]
    assert "switched off" in console.file.getvalue()


def test_json_has_no_nan(scores, finished):
    text = (finished / "circuits" / "circuits.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in circuits.json"))


def test_sizes_are_numbers_or_shares():
    assert asked_sizes((0.5, 3, 1.0, 0.001, 400), 40) == [1, 3, 20, 40]
    assert asked_sizes((1,), 40) == [1]
    assert shown_size([10, 200, 900], 500) == 200
    assert shown_size([900, 2000], 500) == 500
