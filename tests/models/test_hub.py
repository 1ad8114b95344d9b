"""Names on the Hub: the download is another's work; what we ask of it, and what we say when it fails, is ours."""

from pathlib import Path

import huggingface_hub
import pytest

from jaxeap.models.hub import hub_name, local_folder, snapshot


def test_a_folder_is_itself(tmp_path: Path):
    assert local_folder(tmp_path) == tmp_path
    with pytest.raises(ValueError, match=r"revision 'main' was given, but .* is a local folder"):
        local_folder(tmp_path, "main")


def test_a_name_is_fetched_at_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = {}

    def snapshot(repo_id, **arguments):
        asked.update(arguments, repo_id=repo_id)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert local_folder("Owner/Some-Model_1.5B", "v2") == tmp_path
    assert (asked["repo_id"], asked["revision"]) == ("Owner/Some-Model_1.5B", "v2")
    assert "*.safetensors" in asked["allow_patterns"]
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in asked["allow_patterns"])


def test_offline_the_error_says_what_to_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        local_folder("owner/model", "abc")
    for part in ("hf download owner/model --revision abc --local-dir owner--model", "config.json, *.safetensors"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["/no/where", "nowhere", "./owner/model", "a/b/c", "../model"])
def test_a_path_is_not_taken_for_a_name(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("asked the Hub"))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        local_folder(name)


def test_hub_names():
    assert hub_name("hub:owner/Some-Model_1.5B") == ("owner/Some-Model_1.5B", None)
    assert hub_name("hub:owner/model@refs/pr/1") == ("owner/model", "refs/pr/1")
    assert hub_name("owner/model") is None
    for wrong in ("hub:", "hub:model", "hub:a/b/c", "hub:owner/model@", "hub:../model"):
        with pytest.raises(ValueError, match="write hub:owner/name"):
            hub_name(wrong)


def test_what_is_in_the_cache_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--owner--model"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "step-10").write_text(commit)
    folder = cached / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert snapshot("owner/model", "step-10") == snapshot("owner/model", commit) == folder
    with pytest.raises(FileNotFoundError, match="hf download owner/model --revision step-20"):
        snapshot("owner/model", "step-20")
