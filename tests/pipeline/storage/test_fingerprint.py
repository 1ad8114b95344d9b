import os
import shutil

import pytest

from jaxeap.pipeline.storage.fingerprint import content_hash, fingerprint, model_identity, questions_identity
from tests.pipeline.adapter import write_adapter


def test_fingerprint_knows_values_and_not_their_order():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert len({fingerprint({"a": value}) for value in (1, 1.5, "1", None, True, [1])}) == 6


def test_model_is_known_by_its_content(pair_folder, tmp_path):
    original = model_identity(pair_folder / "base", {})
    assert original != model_identity(pair_folder / "tuned", {})
    copy = shutil.copytree(pair_folder / "base", tmp_path / "copy")
    assert model_identity(copy, {}) == original
    (copy / "README.md").write_text("card")
    (copy / "pytorch_model.bin").write_text("not read")
    assert model_identity(copy, {}) == original
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content + b" ")
        assert model_identity(copy, {}) != original, name
        (copy / name).write_bytes(content)


def test_parameters_of_a_converted_checkpoint_count(pair_folder, tmp_path):
    copy = shutil.copytree(pair_folder / "base", tmp_path / "copy")
    before = model_identity(copy, {})
    (copy / "parameters" / "layers.query").mkdir(parents=True)
    (copy / "parameters" / "layers.query" / "data").write_text("x")
    assert model_identity(copy, {}) != before


def test_an_adapter_is_known_by_its_own_content_and_its_models(pair_folder, tmp_path):
    adapter = write_adapter(tmp_path / "adapter", pair_folder / "base")
    on_base, on_tuned = (model_identity(adapter, {}, pair_folder / role) for role in ("base", "tuned"))
    assert on_base != on_tuned
    assert on_base == model_identity(adapter, {}, shutil.copytree(pair_folder / "base", tmp_path / "copy"))
    (adapter / "adapter_config.json").write_text("{}")
    assert model_identity(adapter, {}, pair_folder / "base") != on_base


def test_known_file_is_not_read_again_until_it_is_touched(tmp_path):
    path = tmp_path / "weights"
    path.write_text("abc")
    known = {}
    honest = content_hash(path, known)
    known[str(path)] = (*known[str(path)][:2], "remembered")
    assert content_hash(path, known) == "remembered"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert content_hash(path, known) == honest
    known[str(path)] = (*known[str(path)][:2], "remembered")
    path.write_text("abcd")
    assert content_hash(path, known) != "remembered"


def test_questions_are_known_by_content_or_by_name(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text('{"question": "1+1=", "answer": "2"}\n')
    assert questions_identity(str(tmp_path / "a"), {}) == questions_identity(str(tmp_path / "b"), {})
    assert questions_identity("arithmetic:test", {}) == "arithmetic:test"
    with pytest.raises(FileNotFoundError, match=r"no such file of questions.*arithmetic:test"):
        questions_identity(str(tmp_path / "c"), {})


def test_folders_that_hold_no_model_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        model_identity(tmp_path, {})
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        model_identity(tmp_path / "nowhere", {})
