"""What is taken over from other work directories: what is the same, whole and undamaged, and nothing else."""

import os
from pathlib import Path

import pytest

from jaxeap.pipeline.link import link_finished
from jaxeap.pipeline.stage import Manifest, completed, read_manifest, write_manifest

MANIFEST = Manifest("respond", 1, {"alpha": 1}, {})


def finished(workdir: Path, manifest: Manifest = MANIFEST, content: str = "answers") -> Path:
    folder = workdir / manifest.stage
    (folder / "part").mkdir(parents=True)
    (folder / "part" / "base.jsonl").write_text(content)
    write_manifest(folder, completed(manifest, folder, 7.0))
    return workdir


def test_the_same_stage_is_linked_with_its_manifest(tmp_path):
    here, there = tmp_path / "here", finished(tmp_path / "there")
    here.mkdir()
    assert link_finished({"respond": MANIFEST}, here, [tmp_path / "nowhere", there]) == ["respond"]
    file = Path("respond/part/base.jsonl")
    assert (here / file).read_text() == "answers"
    assert (here / file).samefile(there / file)
    assert read_manifest(here / "respond") == read_manifest(there / "respond")
    assert link_finished({"respond": MANIFEST}, here, [there]) == [], "what is here is kept"


@pytest.mark.parametrize("reason", ["settings", "version", "unfinished", "damaged"])
def test_another_stage_is_not(reason, tmp_path):
    made = Manifest("respond", 2 if reason == "version" else 1, {"alpha": 2 if reason == "settings" else 1}, {})
    there = finished(tmp_path / "there", made)
    if reason == "unfinished":
        write_manifest(there / "respond", made)
    if reason == "damaged":
        (there / "respond" / "part" / "base.jsonl").write_text("other")
    assert link_finished({"respond": MANIFEST}, tmp_path, [there]) == []
    assert not (tmp_path / "respond").exists()


def test_where_links_are_refused_files_are_copied(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refused)
    there = finished(tmp_path / "there")
    assert link_finished({"respond": MANIFEST}, tmp_path, [there]) == ["respond"]
    assert (tmp_path / "respond" / "part" / "base.jsonl").read_text() == "answers"


def test_an_interrupted_link_leaves_no_stage(tmp_path, monkeypatch):
    there = finished(tmp_path / "there")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        link_finished({"respond": MANIFEST}, tmp_path, [there])
    assert not (tmp_path / "respond").exists()
    assert link_finished({"respond": MANIFEST}, tmp_path, [there]) == ["respond"]
