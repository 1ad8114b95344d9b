"""Where the shape of a model comes from that need not be here."""

import json
from pathlib import Path

import pytest

from jaxeap.models.families import read_model_config
from jaxeap.pipeline.planning.memory import parameter_count
from jaxeap.pipeline.planning.shapes import planned_config, planned_pair, published_configs
from tests.pipeline.adapter import write_adapter

COUNTS = {
    "deepseek-ai/deepseek-math-7b-rl": 6_910_365_696,
    "peiyi9979/mistral-7b-sft": 7_241_732_096,
    "nvidia/AceReason-Nemotron-7B": 7_615_616_512,
    "RLHFlow/Qwen2.5-7B-DPO": 7_615_616_512,
    "allenai/Llama-3.1-Tulu-3-8B": 8_030_326_784,
    "allenai/OLMo-2-1124-7B-Instruct": 7_298_617_344,
    "allenai/OLMo-2-1124-13B-SFT": 13_716_198_400,
    "Qwen/Qwen2.5-Math-1.5B": 1_543_714_304,
}
"""Parameters as published, or of the published shape with the vocabulary that the fine-tuned model has."""


@pytest.mark.parametrize("name", COUNTS)
def test_shipped_shapes_have_their_published_size(name):
    config, remark = planned_config(f"hub:{name}@main")
    assert parameter_count(config) == COUNTS[name]
    assert remark == f"{name}: shape as shipped"


def test_every_shipped_shape_can_be_read():
    for name in published_configs():
        assert planned_config(f"hub:{name}")[0].num_layers >= 28


def test_a_folder_is_read_and_an_adapter_is_of_its_base(pair_folder: Path, tmp_path: Path):
    config = read_model_config(pair_folder / "base")
    assert planned_config(str(pair_folder / "base")) == (config, "")
    adapter = write_adapter(tmp_path / "adapter", pair_folder / "base")
    assert planned_config(str(adapter), str(pair_folder / "base")) == (config, "")
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist or is no folder; give one with config\.json"):
        planned_config(str(tmp_path / "nowhere"))


def test_an_adapter_whose_model_is_elsewhere_is_of_the_base(pair_folder: Path, tmp_path: Path):
    base = str(pair_folder / "base")
    adapter = str(write_adapter(tmp_path / "adapter", pair_folder / "base", names="owner/model"))
    assert planned_pair(base, adapter) == [planned_config(base)] * 2
    assert planned_pair(base, adapter, "hub:Qwen/Qwen2.5-Math-1.5B")[1] == planned_config("hub:Qwen/Qwen2.5-Math-1.5B")
    with pytest.raises(FileNotFoundError):
        planned_pair(base, str(tmp_path / "nowhere"))


def test_what_is_not_shipped_is_asked_of_the_hub(pair_folder: Path, monkeypatch):
    asked = []

    def snapshot(name, revision, patterns):
        asked.append((name, revision, patterns))
        return pair_folder / "base"

    monkeypatch.setattr("jaxeap.pipeline.planning.shapes.snapshot", snapshot)
    config, remark = planned_config("hub:owner/model@v2")
    assert config == read_model_config(pair_folder / "base")
    assert asked == [("owner/model", "v2", ("config.json",))]
    assert "from the Hub" in remark


def test_offline_the_error_names_what_is_shipped_and_the_remedy(monkeypatch):
    def offline(*_):
        raise FileNotFoundError("no connection")

    monkeypatch.setattr("jaxeap.pipeline.planning.shapes.snapshot", offline)
    with pytest.raises(FileNotFoundError, match=r"Put config\.json into a folder") as caught:
        planned_config("hub:owner/model")
    assert "deepseek-ai/deepseek-math-7b-rl" in str(caught.value)


def test_attributes_that_deepseek_math_has_beside_a_llama_are_harmless(tmp_path: Path):
    attributes = published_configs()["deepseek-ai/deepseek-math-7b-rl"] | {"moe_intermediate_size": 11008}
    (tmp_path / "config.json").write_text(json.dumps(attributes))
    assert planned_config(str(tmp_path))[0] == planned_config("hub:deepseek-ai/deepseek-math-7b-rl")[0]
