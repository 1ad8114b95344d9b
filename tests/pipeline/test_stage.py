import dataclasses

import pytest

from jaxeap.pipeline.settings import default_config
from jaxeap.pipeline.stage import (
    MANIFEST,
    Stage,
    completed,
    damaged_files,
    expected_manifest,
    read_manifest,
    write_manifest,
)


def nothing(run) -> None:
    pass


FIRST = Stage("first", nothing, reads=("base", "sampling"), tuning=("sampling.batch_size",))
SECOND = Stage("second", nothing, reads=("grader", "question_levels"), needs=("first",))


def fingerprints(config, identity: str = "x", first: Stage = FIRST) -> tuple[str, str]:
    manifests = {"first": expected_manifest(first, config, {"base": identity}, {})}
    return manifests["first"].fingerprint, expected_manifest(SECOND, config, {}, manifests).fingerprint


def test_fingerprint_answers_to_what_is_read_and_to_nothing_else():
    config = default_config()
    before = fingerprints(config)
    config.metrics.bins = 7
    config.base = "elsewhere"
    assert fingerprints(config) == before
    config.sampling.seed = 1
    changed = fingerprints(config)
    assert changed[0] != before[0]
    assert changed[1] != before[1], "what is downstream changes along"
    config.sampling.seed = 0
    config.grader = "other"
    assert fingerprints(config)[0] == before[0]
    assert fingerprints(config)[1] != before[1]


def test_fingerprint_answers_to_files_and_to_the_codes_version():
    config = default_config()
    assert fingerprints(config, identity="y")[1] != fingerprints(config)[1]
    assert fingerprints(config, first=dataclasses.replace(FIRST, version=2))[1] != fingerprints(config)[1]


def test_manifest_comes_back_equal(tmp_path):
    manifest = expected_manifest(FIRST, default_config(), {"base": "x"}, {})
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    levels = expected_manifest(SECOND, default_config(), {}, {"first": manifest})
    write_manifest(tmp_path, levels)
    assert read_manifest(tmp_path) == levels


@pytest.mark.parametrize("content", [None, "{", "[]", '{"stage": "first"}'])
def test_unreadable_manifest_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / MANIFEST).write_text(content)
    assert read_manifest(tmp_path) is None


def test_completed_manifest_finds_what_was_damaged(tmp_path):
    for name in ("a", "b", "deep/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    begun = expected_manifest(FIRST, default_config(), {"base": "x"}, {})
    write_manifest(tmp_path, begun)
    manifest = completed(dataclasses.replace(begun, seconds=2.0), tmp_path, seconds=3.0)
    assert manifest.complete
    assert manifest.seconds == 5.0
    assert manifest.fingerprint == begun.fingerprint
    assert set(manifest.files) == {"a", "b", "deep/c"}
    assert damaged_files(manifest, tmp_path) == []
    (tmp_path / "a").write_text("A")
    (tmp_path / "deep/c").unlink()
    assert damaged_files(manifest, tmp_path) == ["a", "deep/c"]
