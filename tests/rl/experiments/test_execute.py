"""An experiment whole, with outcomes that are put there: files, table, page; and the config files."""

import importlib
import io
import json
from pathlib import Path

import pytest
import rich.console

from jaxeap.rl.experiments.execute import EXPERIMENTS, run_experiment
from jaxeap.rl.experiments.settings import check_lab_config, lab_config
from tests.conftest import REPOSITORY
from tests.rl.experiments.planted import planted_outcome, small

NAMES = sorted(EXPERIMENTS)


def config_of(name: str):
    return importlib.import_module(f"configs.lab.{name}").get_config()


@pytest.mark.parametrize("name", NAMES)
def test_writes_results_table_figures_and_page(name, tmp_path: Path):
    config = small(config_of(name), seeds=2)
    config.findings = str(tmp_path / "findings")
    console = rich.console.Console(file=io.StringIO(), width=160)
    made = []

    def walk(plan, folder, config, console):
        made.append((plan, folder))
        return planted_outcome(plan, {"grpo": {"intensity": 0.4}})

    page = run_experiment(config, tmp_path / "work", console, walk)
    text = page.read_text()
    assert page == tmp_path / "findings" / f"{name}.md"
    assert "What this cannot show" in text and "## What was found" in text and "figure:" not in text
    images = [line.partition("](")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert images and all((page.parent / image).is_file() for image in images)
    results = json.loads((tmp_path / "work" / "results.json").read_text())
    assert results["config"]["experiment"] == name
    assert len(results["comparisons"]) == len(made[0][0].comparisons)
    assert len(results["accuracies"]) == len(made[0][0].cells)
    assert "Accuracy" in console.file.getvalue()
    assert (tmp_path / "work" / "table.md").read_text().count("| :--") == 1
    before = page.read_bytes()
    run_experiment(config, tmp_path / "work", console, walk)
    assert page.read_bytes() == before


@pytest.mark.parametrize("name", NAMES)
def test_config_says_what_a_reader_must_know(name):
    text = importlib.import_module(f"configs.lab.{name}").__doc__
    command = f"python -m jaxeap.rl --config=configs/lab/{name}.py --workdir=workdirs/{name}"
    for part in ("What:", "Paper row:", f"Command:    {command}", "Hardware:", "Time:", "Expect:"):
        assert part in text, part
    assert config_of(name).experiment == name


def test_there_is_a_config_for_every_experiment():
    assert sorted(path.stem for path in (REPOSITORY / "configs" / "lab").glob("*.py")) == NAMES


def test_page_goes_to_the_work_directory_where_nothing_else_is_said(tmp_path):
    config = small(config_of("rl_methods"), seeds=1)
    console = rich.console.Console(file=io.StringIO())
    page = run_experiment(config, tmp_path, console, lambda plan, *others: planted_outcome(plan, {}))
    assert page == tmp_path / "rl_methods.md"


def test_unknown_experiment_and_senseless_settings_are_refused(tmp_path):
    config = lab_config("alchemy", ("grpo",), 1)
    with pytest.raises(ValueError, match="there is no experiment 'alchemy'; there are rl_methods"):
        run_experiment(config, tmp_path)
    config = lab_config("rl_methods", ("grpo",), 0)
    config.steps.grpo = 0
    with pytest.raises(ValueError, match=r"config.seeds is 0; config.steps.grpo is 0; it must be at least 1"):
        check_lab_config(config)
    config = lab_config("rl_methods", ("grpo",), 1)
    config.contrast.questions = "trivia:test"
    with pytest.raises(ValueError, match=r"config.contrast.questions is 'trivia:test'"):
        check_lab_config(config)
