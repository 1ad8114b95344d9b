"""Selection against hand-worked cases and an independent reference."""

import random

import numpy as np
import pytest

from jaxeap.tasks.correctness import CORRECTNESS_CLASSES
from jaxeap.tasks.grading import Verdict
from jaxeap.tasks.responses import Response
from jaxeap.tasks.selection import (
    EmptySelectionError,
    SelectionOptions,
    format_account,
    read_selection,
    select_pairs,
    write_selection,
)


def _response(id_, answer_length, prompt=(7, 8, 9), first=100):
    return Response(id_, prompt, tuple(range(first, first + answer_length)), "", True)


def _pairs(lengths, correct=None):
    """Responses and verdicts of questions q0, q1, ... with these (base, tuned) answer lengths; all right by default."""
    ids = [f"q{i}" for i in range(len(lengths))]
    correct = correct or [(True, True)] * len(lengths)
    base = [_response(id_, length) for id_, (length, _) in zip(ids, lengths, strict=True)]
    tuned = [_response(id_, length, first=200) for id_, (_, length) in zip(ids, lengths, strict=True)]
    base_verdicts = [Verdict(id_, right, None) for id_, (right, _) in zip(ids, correct, strict=True)]
    tuned_verdicts = [Verdict(id_, right, None) for id_, (_, right) in zip(ids, correct, strict=True)]
    return base, tuned, base_verdicts, tuned_verdicts


def test_by_hand():
    """Means over the class: base (10+12+4+20+14)/5 = 12, tuned (10+14+6+20+5)/5 = 11; so lengths 5 to 16, T_cut 3."""
    lengths = [(10, 10), (12, 14), (99, 99), (4, 6), (20, 20), (14, 5)]
    correct = [(True, True)] * 2 + [(True, False)] + [(True, True)] * 3
    selection = select_pairs(*_pairs(lengths, correct), SelectionOptions(alpha=0.3))
    assert selection.reference_length == 11.0
    assert selection.cut_length == 3
    assert selection.account == (
        ("both_right", 1, 5),
        ("neither answer empty", 0, 5),
        ("equal prompts", 0, 5),
        ("mean answer length 5 to 16", 1, 4),  # 20 is out; (4+6)/2 = 5 is the limit itself
        ("relative length difference at most 0.5", 1, 3),  # 9/9.5
    )
    assert selection.question_ids == ["q0", "q1", "q3"]
    assert selection.sequences("base") == [[7, 8, 9, 100, 101, 102]] * 3
    assert selection.sequences("tuned") == [[7, 8, 9, 200, 201, 202]] * 3
    assert selection.counted("base") == selection.counted("tuned") == [(3, 6)] * 3


def test_a_pair_at_delta_itself_is_kept():
    assert select_pairs(*_pairs([(3, 5)]), SelectionOptions(delta=0.5)).question_ids == ["q0"]
    with pytest.raises(EmptySelectionError):
        select_pairs(*_pairs([(3, 5)]), SelectionOptions(delta=0.4999))


def test_an_answer_shorter_than_the_cut_counts_whole():
    selection = select_pairs(*_pairs([(4, 4), (6, 6)]), SelectionOptions(alpha=1.0))
    assert selection.cut_length == 5
    assert selection.counted("base") == [(3, 7), (3, 8)]
    assert [len(sequence) for sequence in selection.sequences("base")] == [7, 8]


def test_at_least_one_token_counts():
    selection = select_pairs(*_pairs([(4, 4)]), SelectionOptions(alpha=0.01))
    assert (selection.cut_length, selection.counted("tuned")) == (1, [(3, 4)])


def _reference(pairs, correct, options):
    """The selection again, in few lines, from the rules as they are written down."""
    wanted = {"both_right": (1, 1), "both_wrong": (0, 0), "only_base_right": (1, 0), "only_tuned_right": (0, 1)}
    rows = [(i, b, t) for i, (b, t) in enumerate(pairs) if correct[i] == wanted[options.correctness]]
    if not rows:
        return [], None
    refer = min(np.mean([b for _, b, _ in rows]), np.mean([t for _, _, t in rows]))
    low, high = int(options.beta * refer), int(options.gamma * refer)
    kept = []
    for i, b, t in rows:
        if b and t and low <= (b + t) / 2 <= high and abs(b - t) / ((b + t) / 2) <= options.delta:
            kept.append(i)
    if options.max_pairs and options.max_pairs < len(kept):
        random.seed(options.seed)
        kept = random.sample(kept, options.max_pairs)
    return sorted(kept), max(int(refer * options.alpha), 1)


def test_against_the_reference_on_random_answers():
    rng = np.random.default_rng(0)
    compared = 0
    for trial in range(120):
        count = int(rng.integers(1, 60))
        centre = rng.integers(1, 80, count)
        pairs = [(int(b), int(t)) for b, t in np.maximum(0, centre[:, None] + rng.integers(-15, 30, (count, 2)))]
        correct = [(int(b), int(t)) for b, t in rng.random((count, 2)) < 0.7]
        options = SelectionOptions(
            correctness=CORRECTNESS_CLASSES[trial % 4],
            beta=float(rng.uniform(0, 1)),
            gamma=float(rng.uniform(1, 2)),
            delta=float(rng.uniform(0, 1)),
            alpha=float(rng.choice([0.03, 0.1, 0.3, 0.5, 1.0])),
            max_pairs=int(rng.integers(1, 20)) if trial % 3 else None,
            seed=int(rng.choice([42, 7])),
        )
        arguments = _pairs(pairs, [(bool(b), bool(t)) for b, t in correct])
        kept, cut = _reference(pairs, correct, options)
        if not kept:
            with pytest.raises(EmptySelectionError):
                select_pairs(*arguments, options)
            continue
        selection = select_pairs(*arguments, options)
        assert selection.question_ids == [f"q{i}" for i in kept]
        assert selection.cut_length == cut
        assert selection.sequences("base") == [[7, 8, 9, *range(100, 100 + min(cut, pairs[i][0]))] for i in kept]
        assert selection.counted("tuned") == [(3, 3 + min(cut, pairs[i][1])) for i in kept]
        assert count - sum(removed for _, removed, _ in selection.account) == selection.account[-1].left == len(kept)
        compared += 1
    assert compared > 60


def test_the_order_of_tuned_responses_and_verdicts_does_not_matter():
    base, tuned, base_verdicts, tuned_verdicts = _pairs([(10, 11), (9, 9), (12, 10)], [(True, True)] * 3)
    options = SelectionOptions(max_pairs=2)
    expected = select_pairs(base, tuned, base_verdicts, tuned_verdicts, options)
    assert select_pairs(base, tuned[::-1], base_verdicts[::-1], tuned_verdicts[::-1], options) == expected


def test_the_kept_questions_do_not_depend_on_alpha():
    arguments = _pairs([(10 + i, 12 + i % 5) for i in range(30)])
    kept = [
        select_pairs(*arguments, SelectionOptions(alpha=alpha, max_pairs=8)).question_ids
        for alpha in (0.03, 0.1, 0.3, 0.5, 1.0)
    ]
    assert len(kept[0]) == 8
    assert all(ids == kept[0] for ids in kept)


def test_different_prompts_are_refused_with_the_first_difference():
    base, tuned, *verdicts = _pairs([(5, 5), (5, 5)])
    tuned[1] = _response("q1", 5, prompt=(7, 3, 9, 9))
    message = r"question 'q1': .*\(3 and 4 tokens\); first difference at token 1: base 8, tuned 3"
    with pytest.raises(ValueError, match=message):
        select_pairs(base, tuned, *verdicts, SelectionOptions())
    tuned[1] = _response("q1", 5, prompt=(7, 8))
    with pytest.raises(ValueError, match="first difference at token 2: base 9, tuned the prompt's end"):
        select_pairs(base, tuned, *verdicts, SelectionOptions())


def test_different_prompts_are_dropped_on_request():
    base, tuned, *verdicts = _pairs([(5, 5), (9, 9)])
    tuned[1] = _response("q1", 9, prompt=(7, 3, 9))
    selection = select_pairs(base, tuned, *verdicts, SelectionOptions(unequal_prompts="drop"))
    assert selection.question_ids == ["q0"]
    assert ("equal prompts", 1, 1) in selection.account
    assert selection.reference_length == 7.0


def test_prompts_of_one_length_are_kept_on_request():
    base, tuned, *verdicts = _pairs([(5, 5), (9, 9), (7, 7)])
    tuned[1] = _response("q1", 9, prompt=(7, 3, 9))
    tuned[2] = _response("q2", 7, prompt=(7, 8))
    selection = select_pairs(base, tuned, *verdicts, SelectionOptions(unequal_prompts="drop_lengths"))
    assert selection.question_ids == ["q0", "q1"]
    assert ("prompts of equal length", 1, 2) in selection.account
    assert selection.sequences("tuned")[1][:3] == [7, 3, 9]


def test_an_empty_prompt_is_refused():
    _, tuned, *verdicts = _pairs([(5, 5)])
    with pytest.raises(ValueError, match="'q0': the prompt has no token"):
        select_pairs([_response("q0", 5, prompt=())], tuned, *verdicts, SelectionOptions())


def test_responses_and_verdicts_must_be_about_the_same_questions():
    base, tuned, *verdicts = _pairs([(5, 5), (5, 5)])
    with pytest.raises(ValueError, match="'q1' is in the base responses and not in the tuned responses"):
        select_pairs(base, tuned[:1], *verdicts, SelectionOptions())
    with pytest.raises(ValueError, match="'q1' is in the verdicts and not in the base responses"):
        select_pairs(base[:1], tuned[:1], *verdicts, SelectionOptions())
    with pytest.raises(ValueError, match="tuned responses: question 'q0' comes twice"):
        select_pairs(base, [tuned[0], *tuned], *verdicts, SelectionOptions())


@pytest.mark.parametrize(
    ("lengths", "right", "options", "remedy"),
    [
        ([(5, 5)] * 3, (True, False), SelectionOptions(), "there are 0 both_right, 0 both_wrong, 3 only_base_right"),
        ([(0, 5)], (True, True), SelectionOptions(), "longer answers"),
        ([(1, 1), (40, 40)], (True, True), SelectionOptions(), r"lower beta \(0.5\), raise gamma \(1.5\)"),
        ([(10, 20)], (True, True), SelectionOptions(), r"raise delta \(0.5\)"),
    ],
)
def test_an_empty_selection_shows_the_account_and_the_remedy(lengths, right, options, remedy):
    with pytest.raises(EmptySelectionError, match=f"(?s)no question is left.*removed .* left +0\nRemedy: .*{remedy}"):
        select_pairs(*_pairs(lengths, [right] * len(lengths)), options)


def test_no_responses_at_all_is_an_empty_selection():
    with pytest.raises(EmptySelectionError, match="questions answered by both"):
        select_pairs([], [], [], [], SelectionOptions())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"correctness": "right"}, "one of both_right, both_wrong"),
        ({"beta": 2.0}, "0 <= beta <= gamma"),
        ({"delta": -0.1}, "delta must be"),
        ({"alpha": 0.0}, "alpha must be"),
        ({"alpha": float("nan")}, "alpha must be"),
        ({"max_pairs": 0}, "max_pairs must be None or 1 or more, and is 0"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"unequal_prompts": "keep"}, "one of refuse, drop, drop_lengths"),
    ],
)
def test_impossible_options_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        SelectionOptions(**option)


def test_the_account_in_print():
    selection = select_pairs(*_pairs([(10, 10)] * 3), SelectionOptions(max_pairs=2))
    lines = format_account(selection.account).splitlines()
    assert lines[0].split() == ["questions", "answered", "by", "both", "removed", "0", "left", "3"]
    assert lines[-1].split() == ["sample", "of", "2", "removed", "1", "left", "2"]
    assert len({len(line) for line in lines}) == 1


def test_round_trip(tmp_path):
    lengths = [(10 + i, 11 + i % 3) for i in range(9)]
    selection = select_pairs(*_pairs(lengths), SelectionOptions(alpha=1 / 3, delta=0.7, max_pairs=5, seed=1))
    path = tmp_path / "selection.json"
    write_selection(path, selection)
    assert read_selection(path) == selection
    assert read_selection(path).account[0].filter == "both_right"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"options": {"gama": 1}}'])
def test_a_file_that_is_no_selection_is_named(tmp_path, text):
    path = tmp_path / "selection.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"selection\.json: not a selection"):
        read_selection(path)
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        read_selection(tmp_path / "gone.json")
