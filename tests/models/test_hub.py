"""Names on the Hub: the download is another's work; what we ask of it, and what we say when it fails, is ours."""

from pathlib import Path

import huggingface_hub
import pytest

from jaxeap.models.hub import local_folder


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
