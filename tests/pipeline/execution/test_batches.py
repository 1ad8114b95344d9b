import hypothesis
import pytest
from hypothesis import strategies

from jaxeap.pipeline.execution.batches import one_ahead, unfinished_batches


def test_by_hand():
    batches = unfinished_batches([5, 9, 5, 7, 1], [False] * 5, batch_size=2)
    assert [batch.real for batch in batches] == [[1, 3], [0, 2], [4]]
    assert batches[-1].filled == [4, 4]


def test_fewer_items_than_a_batch_are_not_filled_up():
    (batch,) = unfinished_batches([3, 3], [False, False], batch_size=8)
    assert batch.real == batch.filled == [0, 1]


def test_nothing_to_do():
    assert unfinished_batches([4, 4], [True, True], 3) == []


@hypothesis.given(strategies.data())
def test_what_is_left_after_any_finished_batches_are_the_other_batches(data):
    lengths = data.draw(strategies.lists(strategies.integers(1, 5), min_size=1, max_size=20))
    batch_size = data.draw(strategies.integers(1, 6))
    whole = unfinished_batches(lengths, [False] * len(lengths), batch_size)
    assert sorted(place for batch in whole for place in batch.real) == list(range(len(lengths)))
    assert {len(batch.filled) for batch in whole} == {min(batch_size, len(lengths))}
    done = data.draw(strategies.sets(strategies.integers(0, len(whole) - 1)))
    finished = [any(place in whole[index].real for index in done) for place in range(len(lengths))]
    rest = [batch for index, batch in enumerate(whole) if index not in done]
    assert unfinished_batches(lengths, finished, batch_size) == rest


def test_the_next_batch_is_started_before_the_results_of_one_are_handed_over():
    events = []

    def start(batch):
        events.append(f"start {batch}")
        return 10 * batch

    for batch, result in one_ahead([1, 2, 3], start):
        assert result == 10 * batch
        events.append(f"write {batch}")
    assert events == ["start 1", "start 2", "write 1", "start 3", "write 2", "write 3"]
    assert list(one_ahead([], start)) == []


def test_an_error_in_starting_comes_after_what_went_before_and_one_in_writing_at_once():
    def start(batch):
        if batch == 2:
            raise ValueError("too large")
        return batch

    written = []
    with pytest.raises(ValueError, match="too large"):
        for batch, _ in one_ahead([0, 1, 2, 3], start):
            written.append(batch)
    assert written == [0, 1]
    with pytest.raises(OSError, match="disk full"):
        for _ in one_ahead([0, 1, 2], start):
            raise OSError("disk full")
