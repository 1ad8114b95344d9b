import numpy as np
import pytest

from jaxeap.pipeline.storage.artifacts import (
    files_below,
    first_free,
    intact_tensors,
    read_json,
    read_tensor_metadata,
    read_tensors,
    remove_unfinished,
    sha256,
    write_json,
    write_tensors,
)


def test_json_comes_back(tmp_path):
    write_json(tmp_path / "deep" / "a.json", {"text": "π [bold]", "values": [1, 2.5, None]})
    assert read_json(tmp_path / "deep" / "a.json") == {"text": "π [bold]", "values": [1, 2.5, None]}


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", [1, float("nan")])
    assert read_json(tmp_path / "a.json") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_damaged_json_is_named(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError, match=r"b\.json"):
        read_json(tmp_path / "b.json")


def test_tensors_and_metadata_come_back(tmp_path):
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3).T  # Not contiguous.
    write_tensors(tmp_path / "deep" / "a.safetensors", {"x": tensor}, {"ids": ["1", "ü"], "n": 3})
    tensors, metadata = read_tensors(tmp_path / "deep" / "a.safetensors")
    np.testing.assert_array_equal(tensors["x"], tensor)
    assert metadata == {"ids": ["1", "ü"], "n": 3} == read_tensor_metadata(tmp_path / "deep" / "a.safetensors")


def test_same_tensors_give_the_same_bytes(tmp_path):
    for name in "abcdefgh":
        write_tensors(tmp_path / name, {"x": np.ones(3), "y": np.zeros(2)}, {"m": 1, "k": 2, "l": 3})
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_truncated_tensors_are_named(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"x": np.ones(100)}, {})
    path.write_bytes(path.read_bytes()[:-8])
    for read in (read_tensors, read_tensor_metadata):
        with pytest.raises(ValueError, match=r"a\.safetensors is damaged"):
            read(path)
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "b.safetensors")


def test_what_was_changed_is_known_by_its_checksum_and_removed(tmp_path):
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for name, number in ((path, 1.0), (other, 2.0)):
        write_tensors(name, {"x": np.full((2, 3), number, np.float32), "none": np.zeros((0, 2))}, {"m": [1, "ü"]})
    metadata = read_tensors(path, verify=True)[1]
    assert metadata == {"m": [1, "ü"]}
    assert intact_tensors(path, pytest.fail, lambda tensors, metadata: metadata["m"][0] == 1) is not None
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-8] + other.read_bytes()[-8:])
    assert path.stat().st_size == size
    read_tensors(path)  # Its form is right.
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged"):
        read_tensors(path, verify=True)
    said = []
    assert intact_tensors(path, said.append, lambda *_: True) is None
    assert intact_tensors(other, said.append, lambda tensors, _: "y" in tensors) is None
    assert [line.partition(" is ")[0] for line in said] == [str(path), str(other)]
    assert not list(tmp_path.iterdir())
    assert intact_tensors(path, pytest.fail, pytest.fail) is None, "what is not there is no damage"


def test_failed_write_of_tensors_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_tensors(tmp_path / "a", {"x": np.ones(1)}, {"m": object()})
    assert not list(tmp_path.iterdir())


def test_hash_is_that_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_first_free_number_fills_gaps(tmp_path):
    assert first_free(tmp_path, ".x").name == "00000.x"
    for name in ("00000.x", "00002.x"):
        (tmp_path / name).touch()
    assert first_free(tmp_path, ".x").name == "00001.x"


def test_hidden_files_are_no_results_and_unfinished_ones_are_removed(tmp_path):
    for name in ("b.json", ".b.json.7.tmp", "deep/a.json", "deep/.x.png.7.partial", ".hidden/c.json", ".keep"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)] == ["b.json", "deep/a.json"]
    (tmp_path / ".stage.partial" / "deep").mkdir(parents=True)
    (tmp_path / ".stage.partial" / "deep" / ".c.json.7.tmp").touch()
    remove_unfinished([tmp_path, tmp_path / "missing"])
    assert not (tmp_path / ".stage.partial").exists()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"b.json", "deep/a.json", ".hidden/c.json", ".keep"}
