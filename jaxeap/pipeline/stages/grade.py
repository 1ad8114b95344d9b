"""Every response is graded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from jaxeap.pipeline.execution.progress import progress_bar
from jaxeap.pipeline.inputs.pair import ROLES
from jaxeap.pipeline.settings import RECORDED
from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.respond import questions_of, recorded_verdicts_of, responses_of, samples_in
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.tasks.correctness import correctness_classes, count_classes
from jaxeap.tasks.grading import Verdict, grade_responses, read_verdicts, write_verdicts
from jaxeap.tasks.selection import Role

SUMMARY = "summary.json"


def verdicts_of(folder: Path, role: Role) -> list[Verdict]:
    """The grades of one model from the finished stage's folder, in the order of the questions."""
    return read_verdicts(folder / f"{role}.jsonl")


def summary_of(folder: Path) -> dict:
    """How many questions were asked, each model's share of right answers, and the size of the correctness classes."""
    return read_json(folder / SUMMARY)


def grade(run: StageRun) -> None:
    """Writes base.jsonl, tuned.jsonl and summary.json.

    Where each question was answered several times, the further answers' grades stand in base_sample1.jsonl, ..., and
    the summary tells the pass rate over all of them; accuracy and classes are those of the first answers.
    """
    asked = run.inputs["respond"]
    questions, samples = questions_of(asked), samples_in(asked)
    verdicts = {role: _grade(run, role) for role in ROLES}
    for role, graded in verdicts.items():
        write_verdicts(run.folder / f"{role}.jsonl", graded)
    accuracy = {role: sum(verdict.correct for verdict in graded) / len(graded) for role, graded in verdicts.items()}
    classes = count_classes(correctness_classes(verdicts["base"], verdicts["tuned"]))
    summary = {"questions": len(questions), "accuracy": accuracy, "classes": classes}
    if samples > 1:
        rates = {role: _pass_rate(run, role, verdicts[role], samples) for role in ROLES}
        summary |= {"samples": samples, "pass_rate": rates}
        run.say(f"pass rate over {samples} answers a question: base {rates['base']:.1%}, tuned {rates['tuned']:.1%}")
    write_json(run.folder / SUMMARY, summary)
    run.say(
        f"right answers: base {accuracy['base']:.1%}, tuned {accuracy['tuned']:.1%} of {len(questions)}; "
        + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in classes.items())
    )


def _pass_rate(run: StageRun, role: Role, first: list[Verdict], samples: int) -> float:
    """The share of right ones among all answers, the first ones' grades being known."""
    right = sum(verdict.correct for verdict in first)
    for sample in range(1, samples):
        graded = _grade(run, role, sample)
        write_verdicts(run.folder / f"{role}_sample{sample}.jsonl", graded)
        right += sum(verdict.correct for verdict in graded)
    return right / (samples * len(first))


def _grade(run: StageRun, role: Role, sample: int = 0) -> list[Verdict]:
    asked, settings = run.inputs["respond"], run.config.math_grading
    if run.config.grader == RECORDED:
        return recorded_verdicts_of(asked, role)
    responses = responses_of(asked, role, sample)
    with progress_bar(run.console, f"{role}: grading", total=len(responses)) as advance:
        verdicts = grade_responses(
            questions_of(asked),
            responses,
            run.config.grader,
            seconds=settings.seconds,
            workers=settings.workers,
            advance=advance,
        )
    if notes := Counter(verdict.note for verdict in verdicts if verdict.note):
        run.say(f"{role}: wrong whatever their text: " + ", ".join(f"{n} {note}" for note, n in notes.most_common()))
    return verdicts


GRADE = Stage(
    name="grade",
    make=grade,
    reads=("grader", "math_grading.seconds"),
    tuning=("math_grading.workers",),
    needs=("respond",),
    version=2,
)
