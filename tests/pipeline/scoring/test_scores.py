import numpy as np
import pytest

from jaxeap.pipeline.scoring.score_means import mean_scores
from jaxeap.pipeline.scoring.score_stream import stream_of
from jaxeap.pipeline.scoring.scores import (
    Scores,
    append_shard,
    discard_damaged,
    finished_questions,
    iterate_scores,
    read_scores,
)
from jaxeap.pipeline.storage.artifacts import write_tensors


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


def flipped_bit(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[-3] ^= 1
    return bytes(changed)


def zeroed(content: bytes) -> bytes:
    """The header as it was, and nothing but zeros after it."""
    begin = 8 + int.from_bytes(content[:8], "little")
    return content[:begin] + bytes(len(content) - begin)


DAMAGE = {
    "truncated": lambda content: content[:-4],
    "cut in the header": lambda content: content[:20],
    "empty": lambda content: b"",
    "one bit": flipped_bit,
    "zeros": zeroed,
    "other ids in the header": lambda content: content.replace(b'\\"1\\"', b'\\"2\\"'),
    "no checksum": lambda content: content.replace(b"sha256", b"sha255"),
    "no JSON": lambda content: content.replace(b"{\\", b"[\\"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_shard_is_named_and_makes_room_for_a_new_one(tmp_path, damage):
    first, second = (append_shard(tmp_path, s) for s in (shard("1"), shard("2")))
    written = first.read_bytes()
    first.write_bytes(DAMAGE[damage](written))
    assert first.read_bytes() != written
    said: list[str] = []
    discard_damaged(tmp_path, ["1", "2"], said.append)
    (line,) = said
    assert str(first) in line and "computed again" in line and "\n" not in line
    assert finished_questions(tmp_path) == {"2"}
    assert append_shard(tmp_path, shard("1")) == first
    assert first.read_bytes() == written
    np.testing.assert_array_equal(read_scores(tmp_path, ["1", "2"]).loss, shard("1", "2").loss)
    assert second.is_file()


def test_shards_that_are_whole_stay_and_nothing_is_said(tmp_path):
    append_shard(tmp_path, shard("1", "2"))
    discard_damaged(tmp_path, ["2", "1", "3"], pytest.fail)
    discard_damaged(tmp_path / "missing", ["1"], pytest.fail)
    assert finished_questions(tmp_path) == {"1", "2"}


def test_shard_of_other_questions_or_tensors_is_not_gone_on_from(tmp_path):
    append_shard(tmp_path, shard("1"))
    append_shard(tmp_path, shard("9"))
    write_tensors(tmp_path / "00002.safetensors", {"effects": np.ones(1)}, {"question_ids": ["2"]})
    few = {"scores": np.ones((1, 2, 3), np.float32), **dict.fromkeys(("loss", "gradient_norm"), np.ones(1, np.float32))}
    write_tensors(tmp_path / "00003.safetensors", few, {"question_ids": ["2", "3"]})
    said: list[str] = []
    discard_damaged(tmp_path, ["1", "2", "3"], said.append)
    assert len(said) == 3 and all("not of this run's questions" in line for line in said)
    assert finished_questions(tmp_path) == {"1"}


def test_question_in_two_shards_counts_once_as_in_the_first(tmp_path):
    append_shard(tmp_path, shard("1", "2"))
    other = shard("2", "3")
    append_shard(tmp_path, Scores(other.question_ids, other.scores + 50, other.loss, other.gradient_norm))
    append_shard(tmp_path, shard("3"))
    assert [s.question_ids for s in iterate_scores(tmp_path)] == [("1", "2"), ("3",)]
    found = read_scores(tmp_path, ["1", "2", "3"])
    np.testing.assert_array_equal(found.scores[:, 0, 0], [1, 2, 53])
    assert mean_scores(tmp_path, ["1", "2", "3"]).signed[0, 0] == (1 + 2 + 53) / 3
    assert sum(len(rows) for _, rows in stream_of(tmp_path, ["1", "2", "3"]).shards()) == 3
    said: list[str] = []
    discard_damaged(tmp_path, ["1", "2", "3"], said.append)
    assert len(said) == 1 and "00002.safetensors holds questions that stand in shards before it" in said[0]
    assert len(list(tmp_path.iterdir())) == 2


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
