"""Files in the paper's layout: what is read, what is refused, and that its selection comes out again."""

import json
import random

import numpy as np
import pytest

from jaxeap.tasks.imported import read_imported, require_tokens_of
from jaxeap.tasks.selection import SelectionOptions, select_pairs
from jaxeap.tasks.tokenizer import arithmetic_tokenizer, encode_prompt

EOS = 1


def _record(tokenizer, n, base="590", tuned="580", **changes):
    prompt = encode_prompt(tokenizer, f"{n}+58=")
    answers = {"base": [*tokenizer.encode(base), EOS], "rl": [*tokenizer.encode(tuned), EOS]}
    record = {"idx": n, "question": f"{n}+58=", "gt": "590", "solution": None}
    for role, answer in answers.items():
        record |= {
            f"{role}_prompt_tokens": prompt,
            f"{role}_answer_tokens": answer,
            f"{role}_answer_tokens_range": [len(prompt), len(prompt) + len(answer)],
            f"{role}_pred": "590",
            f"{role}_score": answer == answers["base"],
        }
    return record | changes


def _write(path, records):
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


@pytest.fixture
def tokenizer():
    return arithmetic_tokenizer()


def test_what_is_read(tmp_path, tokenizer):
    path = _write(tmp_path / "r.jsonl", [_record(tokenizer, 37), _record(tokenizer, 41, tuned="59", rl_score="True")])
    imported = read_imported(path)
    assert [(q.id, q.question, q.answer) for q in imported.questions] == [
        ("37", "37+58=", "590"),
        ("41", "41+58=", "590"),
    ]
    require_tokens_of(imported, "base", tokenizer)
    require_tokens_of(imported, "tuned", tokenizer, lambda question: encode_prompt(tokenizer, question.question))
    first, second = imported.responses("tuned", tokenizer, [EOS])
    assert (first.text, first.finished, first.prompt_tokens) == ("580", True, tuple(encode_prompt(tokenizer, "37+58=")))
    assert second.answer_tokens == (7, 11, EOS)
    assert imported.responses("tuned", tokenizer, [])[0].finished is False
    assert [v.correct for v in imported.verdicts("base")] == [True, True]
    assert [v.correct for v in imported.verdicts("tuned")] == [False, True]


def test_tuned_is_a_name_for_rl_and_scores_may_be_missing(tmp_path, tokenizer):
    record = {k.replace("rl_", "tuned_"): v for k, v in _record(tokenizer, 37).items() if not k.endswith("_score")}
    imported = read_imported(_write(tmp_path / "r.jsonl", [record]))
    assert imported.answers["tuned"][0].answer_tokens == tuple(record["tuned_answer_tokens"])
    with pytest.raises(ValueError, match="question '37' has no base_score"):
        imported.verdicts("base")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_prompt_tokens": None}, "line 1: no key base_prompt_tokens"),
        ({"rl_answer_tokens": [1, 2.5]}, "'rl_answer_tokens' should be a list of token numbers"),
        ({"rl_answer_tokens": "590"}, "'rl_answer_tokens' should be list"),
        ({"rl_answer_tokens_range": [6, 9]}, r"'rl_answer_tokens_range' says \[6, 9\], and the tokens say \[6, 10\]"),
        ({"base_score": "maybe"}, "'base_score' should be true or false, found 'maybe'"),
        ({"question": None}, "no key question"),
        ({"gt": None}, "no key gt or answer or final_answer"),
    ],
)
def test_bad_records_are_named(tmp_path, tokenizer, changes, message):
    with pytest.raises(ValueError, match=message):
        read_imported(_write(tmp_path / "r.jsonl", [_record(tokenizer, 37, **changes)]))


def test_repeated_ids_and_empty_files(tmp_path, tokenizer):
    with pytest.raises(ValueError, match="line 2: id '37' comes twice"):
        read_imported(_write(tmp_path / "r.jsonl", [_record(tokenizer, 37)] * 2))
    with pytest.raises(ValueError, match="holds no responses"):
        read_imported(_write(tmp_path / "r.jsonl", []))


def test_tokens_of_another_tokenizer_are_refused(tmp_path, tokenizer):
    def imported(**changes):
        return read_imported(_write(tmp_path / "r.jsonl", [_record(tokenizer, 37, **changes)]))

    far = {"rl_answer_tokens": [7, 32, EOS, 1]}
    with pytest.raises(ValueError, match=r"question '37', tuned model: token 32 of the answer is not one of .* 32;"):
        require_tokens_of(imported(**far), "tuned", tokenizer)
    require_tokens_of(imported(**far), "base", tokenizer)
    other = imported(question="99+58=")
    with pytest.raises(ValueError, match=r"prompt reads '37\+58='\.\.\., which does not hold the question '99\+58='"):
        require_tokens_of(other, "base", tokenizer)
    with pytest.raises(ValueError, match=r"token 0, after '': 5 '3' in the file, 11 '9' from the template"):
        require_tokens_of(other, "base", tokenizer, lambda question: encode_prompt(tokenizer, question.question))
    with pytest.raises(
        ValueError, match=r"after '37\+58=': the end of the prompt in the file, 15 ' ' from the template"
    ):
        require_tokens_of(imported(), "base", tokenizer, lambda q: encode_prompt(tokenizer, q.question + " "))


def _papers_selection(rows, alpha, beta, gamma, delta, count):
    """From the paper's description and its published code, in few lines: rows of one correctness class."""
    refer = min(np.mean([len(row[f"{role}_answer_tokens"]) for row in rows]) for role in ("base", "rl"))
    kept = []
    for row in rows:
        base, rl = (len(row[f"{role}_answer_tokens"]) for role in ("base", "rl"))
        if len(row["base_prompt_tokens"]) != len(row["rl_prompt_tokens"]):
            continue
        if not int(beta * refer) <= (base + rl) / 2 <= int(gamma * refer) or abs(base - rl) / ((base + rl) / 2) > delta:
            continue
        kept.append(row)
    if 0 < count < len(kept):
        random.seed(42)
        kept = random.sample(kept, count)
    cut = max(int(refer * alpha), 1)
    return {
        str(row["idx"]): [
            (row[f"{role}_prompt_tokens"] + row[f"{role}_answer_tokens"][:cut], len(row[f"{role}_prompt_tokens"]))
            for role in ("base", "rl")
        ]
        for row in kept
    }


@pytest.mark.parametrize("alpha", [0.03, 0.1, 0.3, 0.5])
@pytest.mark.parametrize(
    ("correctness", "scores"),
    [
        ("both_right", (True, True)),
        ("both_wrong", (False, False)),
        ("only_base_right", (True, False)),
        ("only_tuned_right", (False, True)),
    ],
)
def test_the_papers_selection_comes_out_again(tmp_path, tokenizer, alpha, correctness, scores):
    rng = np.random.default_rng(7)
    records = []
    for n in range(10, 250):
        centre = int(rng.integers(20, 90))
        record = {"idx": n, "question": f"{n}", "gt": "1"}
        for role in ("base", "rl"):
            record[f"{role}_prompt_tokens"] = encode_prompt(tokenizer, f"{n}=" + "=" * (role == "rl" and n % 11 == 0))
            record[f"{role}_answer_tokens"] = rng.integers(2, 15, max(1, centre + int(rng.integers(-25, 25)))).tolist()
            record[f"{role}_score"] = bool(rng.random() < 0.5)
        records.append(record)
    imported = read_imported(_write(tmp_path / "r.jsonl", records))
    responses = [imported.responses(role, tokenizer, [EOS]) for role in ("base", "tuned")]
    verdicts = [imported.verdicts(role) for role in ("base", "tuned")]
    options = SelectionOptions(correctness=correctness, alpha=alpha, max_pairs=20, unequal_prompts="drop_lengths")
    selection = select_pairs(*responses, *verdicts, options)

    rows = [row for row in records if (row["base_score"], row["rl_score"]) == scores]
    expected = _papers_selection(rows, alpha, 0.5, 1.5, 0.5, 20)
    assert set(selection.question_ids) == set(expected)
    assert len(selection.questions) == 20
    for question in selection.questions:
        for cut, (tokens, start) in zip((question.base, question.tuned), expected[question.question_id], strict=True):
            assert (list(cut.tokens), cut.start, cut.stop) == (tokens, start, len(tokens))
