"""The manifest: written and read back, and what else is refused."""

import json
from pathlib import Path

import pytest

from jaxeap.models.manifest import FORMAT, MANIFEST, ManifestEntry, parameter_folder, read_manifest, write_manifest

ENTRIES = {
    "embedding": ManifestEntry((31, 20), "float32", "model.embed_tokens.weight"),
    "layers/up": ManifestEntry((3, 20, 28), "bfloat16", "model.layers.{layer}.mlp.up_proj.weight"),
}


def test_round_trip(tmp_path: Path):
    write_manifest(tmp_path, ENTRIES)
    assert read_manifest(tmp_path) == ENTRIES
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_each_parameter_has_a_folder_of_its_own(tmp_path: Path):
    assert parameter_folder(tmp_path, "layers/up") == tmp_path / "parameters" / "layers.up"


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": 1}', '{"format": 1, "parameters": {"x": {}}}'])
def test_damaged(tmp_path: Path, content: str):
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(ValueError, match=r"jaxeap_checkpoint\.json is damaged .*; convert the checkpoint again"):
        read_manifest(tmp_path)


def test_other_formats_are_refused(tmp_path: Path):
    (tmp_path / MANIFEST).write_text(json.dumps({"format": FORMAT + 1, "parameters": {}}))
    with pytest.raises(ValueError, match="has format 2, this version reads format 1; convert the checkpoint again"):
        read_manifest(tmp_path)
