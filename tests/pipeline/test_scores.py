import numpy as np
import pytest

from jaxeap.pipeline.scores import Scores, append_shard, finished_questions, iterate_scores, read_scores


def shard(*ids: str) -> Scores:
    """Scores that tell which question they are of: every entry is its number."""
    numbers = np.array([float(id_) for id_ in ids], np.float32)
    return Scores(ids, np.broadcast_to(numbers[:, None, None], (len(ids), 2, 3)), numbers / 10, numbers / 7)


def test_shards_come_back_in_any_order_asked_for(tmp_path):
    assert [append_shard(tmp_path, s).name for s in (shard("7", "1"), shard("4"))] == [
        "00000.safetensors",
        "00001.safetensors",
    ]
    scores = read_scores(tmp_path, ["4", "7"])
    np.testing.assert_array_equal(scores.scores, shard("4", "7").scores)
    np.testing.assert_array_equal(scores.loss, shard("4", "7").loss)
    np.testing.assert_array_equal(scores.gradient_norm, shard("4", "7").gradient_norm)
    assert finished_questions(tmp_path) == {"1", "4", "7"}
    assert [s.question_ids for s in iterate_scores(tmp_path)] == [("7", "1"), ("4",)]


def test_missing_question_is_an_error(tmp_path):
    append_shard(tmp_path, shard("1"))
    with pytest.raises(ValueError, match="no scores of 1 of 2 questions"):
        read_scores(tmp_path, ["1", "2"])
    with pytest.raises(ValueError, match="no scores of 1 of 1 questions"):
        read_scores(tmp_path / "empty", ["1"])


def test_unreadable_shard_makes_room_for_a_new_one(tmp_path):
    first, second = (append_shard(tmp_path, s) for s in (shard("1"), shard("2")))
    first.write_bytes(first.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"00000\.safetensors is damaged"):
        read_scores(tmp_path, ["1", "2"])
    assert finished_questions(tmp_path) == {"2"}
    assert append_shard(tmp_path, shard("1")) == first
    np.testing.assert_array_equal(read_scores(tmp_path, ["1", "2"]).loss, shard("1", "2").loss)
    assert second.is_file()


def test_other_dtypes_and_shapes_are_refused():
    with pytest.raises(AssertionError):
        Scores(("1",), np.zeros((1, 2, 3), np.float16), np.zeros(1, np.float32), np.zeros(1, np.float32))
    with pytest.raises(AssertionError):
        Scores(("1",), np.zeros((2, 2, 3), np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32))
    with pytest.raises(AssertionError):
        Scores(("1",), np.zeros((1, 2, 3), np.float32), np.zeros(1, np.float32), np.zeros(2, np.float32))


def test_some_rows_of_a_shard():
    some = shard("7", "1", "4").rows([2, 0])
    assert some.question_ids == ("4", "7")
    np.testing.assert_array_equal(some.scores, shard("4", "7").scores)
    np.testing.assert_array_equal(some.gradient_norm, shard("4", "7").gradient_norm)
